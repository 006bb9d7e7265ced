"""What is wrong with a data folder: what is missing, misplaced or unequal, and what leaks into training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clearair.data.layouts import DATA_SETS, Item, find_set, pictures
from clearair.data.leaks import Leak, find_leaks
from clearair.data.looks import Look, look_at
from clearair.data.splits import TWINS
from clearair.errors import DataError, ImageError
from clearair.image import read_photo

NOT_PHOTOS = ("regions", "depth")
"""Folders below `train` whose pictures are maps."""


@dataclass(frozen=True)
class Report:
    """What was found; an empty `problems` and `leaks` means that all is well."""

    sets: dict[str, tuple[int, int | None]]
    """By name: pictures or pairs found, and how many the published set has."""
    problems: tuple[str, ...]
    leaks: tuple[Leak, ...]


def check_data(
    data: Path, *, leaks: bool = True, on_done: Callable[[str, int, int], None] | None = None
) -> Report:
    """Look through a data folder. Raises DataError when it is not there or holds no pictures."""
    if not data.is_dir():
        raise DataError(f"{data}: there is no such folder.")
    tell = on_done or (lambda what, done, total: None)
    found: dict[str, list[Item]] = {}
    problems: list[str] = []
    for name, data_set in DATA_SETS.items():
        try:
            items = find_set(data, data_set)
        except DataError as error:
            problems.append(f"{name}: {error}")
            continue
        if items:
            found[name] = items
            problems += [problem for item in items if (problem := _unequal(item))]
    sets = {name: (len(items), DATA_SETS[name].count) for name, items in found.items()}
    problems += [
        f"{name}: {here} of {count} pictures or pairs are here."
        for name, (here, count) in sets.items()
        if count is not None and here < count
    ]
    problems += _halves(data)
    train, test = _to_compare(data, found)
    if not found and not train and not test:
        raise DataError(f"{data}: holds no known data set, and no pictures in train or test.")
    ours = _looks(train, problems, lambda done, total: tell("reading train", done, total))
    theirs = _looks(test, problems, lambda done, total: tell("reading test", done, total))
    leaked = find_leaks(ours, theirs, lambda d, t: tell("searching leaks", d, t)) if leaks else []
    return Report(sets, tuple(problems), tuple(leaked))


def _to_compare(data: Path, found: dict[str, list[Item]]) -> tuple[list[Path], list[Path]]:
    """What is trained on, clean, and what is tested with, clean and damaged, each file once."""
    train = dict.fromkeys(_photos(data / "train"))
    test = dict.fromkeys(pictures((data / "test").rglob("*")))
    for name, items in found.items():
        for item in items:
            if DATA_SETS[name].part == "test":
                test |= dict.fromkeys(path for path in (item.clean, item.damaged) if path)
            elif item.clean:
                train[item.clean] = None
    kept = [path for path in train if path not in test and f"{path.parent.name}/{path.name}" not in TWINS]
    return kept, list(test)


def _photos(folder: Path) -> list[Path]:
    return [
        path
        for path in pictures(folder.rglob("*"))
        if not set(path.relative_to(folder).parts[:-1]) & set(NOT_PHOTOS)
    ]


def _looks(paths: list[Path], problems: list[str], tell: Callable[[int, int], None]) -> list[Look]:
    looks = []
    for index, path in enumerate(paths):
        look = look_at(path)
        if look is None:
            problems.append(f"{path}: cannot be read.")
        else:
            looks.append(look)
        tell(index + 1, len(paths))
    return looks


def _unequal(item: Item) -> str | None:
    if item.damaged is None or item.clean is None:
        return None
    try:
        damaged, clean = (read_photo(path).size for path in (item.damaged, item.clean))
    except ImageError as error:
        return str(error)
    if damaged == clean:
        return None
    sizes = " and ".join(f"{width} x {height}" for width, height in (damaged, clean))
    return f"{item.damaged}: its size and that of {item.clean} differ: {sizes} px."


def _halves(data: Path) -> list[str]:
    """Pairs below `train` and `test` of which one half is missing, and folders in the wrong place."""
    problems = []
    for inputs in sorted([*data.glob("t*/*/input"), *data.glob("t*/*/*/input")]):
        targets = inputs.with_name("target")
        if not targets.is_dir():
            problems.append(f"{inputs}: has no folder `target` beside it.")
            continue
        damaged, clean = pictures(inputs.glob("*")), pictures(targets.glob("*"))
        if len(damaged) != len(clean):
            problems.append(f"{inputs.parent}: {len(damaged)} inputs but {len(clean)} targets.")
        stems = {path.stem for path in clean}
        problems += [f"{path}: has no target." for path in damaged if path.stem not in stems]
    for name, each in DATA_SETS.items():
        wrong = data / ("test" if each.part == "train" else "train") / name
        if wrong.is_dir():
            problems.append(f"{wrong}: {name} is a set for {each.part}ing; it belongs below {each.part}.")
    return problems

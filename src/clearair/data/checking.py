"""Checks a data folder for missing, misplaced or unequal files, and for leaks into training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from clearair.data.layouts import DATA_SETS, Search, below, pictures, search_set
from clearair.data.misplaced import find_misplaced, needs_inputs
from clearair.data.splits import HeldOut, held_out
from clearair.errors import DataError, ImageError, UsageError
from clearair.image import read_photo

if TYPE_CHECKING:
    from clearair.data.leaks import Leak

T = TypeVar("T")
Tell = Callable[[str, int, int], None]
"""Receives the current task, the number of finished items, and the total."""

NOT_PHOTOS = ("regions", "depth")
"""Folders below `train` whose pictures are maps."""
MOST_NAMED = 100
"""Most bad files of one folder that are named; the rest are counted."""


@dataclass(frozen=True)
class Report:
    """What was found; an empty `problems` and `leaks` means that all is well."""

    sets: dict[str, tuple[int, int | None]]
    """By name: good pictures or pairs found, and how many the published set has."""
    problems: tuple[str, ...]
    leaks: tuple[Leak, ...]


def check_data(data: Path, *, leaks: bool = True, on_done: Tell | None = None) -> Report:
    """Look through a data folder. Raises DataError when it is not there or holds no pictures.

    The search for leaks needs scikit-image, which the extra `data` brings; UsageError without it.
    A bad file does not stop the others from being checked.
    """
    if not data.is_dir():
        raise DataError(f"{data}: there is no such folder.")
    if leaks:
        _need_scikit_image()
    tell = on_done or (lambda what, done, total: None)
    found: dict[str, Search] = {}
    for name, data_set in DATA_SETS.items():
        search = search_set(data, data_set)
        if search.items or search.problems:
            found[name] = search
    sets = {name: (len(search.items), DATA_SETS[name].count) for name, search in found.items()}
    own, problems = _own_pairs(data, found)
    problems += find_misplaced(data, found)
    problems += [
        f"{name}: {here} of {count} pictures or pairs are here."
        for name, (here, count) in sets.items()
        if count is not None and here < count
    ]
    apart = held_out(data)
    problems += _not_here(data, apart)
    train, test = _to_compare(data, found, apart)
    if not found and not train and not test and not problems:
        raise DataError(f"{data}: holds no known data set, and no pictures in train or test.")
    bad = _without_half(found, own)
    _add_unequal([*found.values(), own], bad, lambda done, total: tell("comparing sizes", done, total))
    if leaks:
        leaked = _leaks(train, test, bad, tell)
    else:
        leaked = []
        for _ in _read([*train, *test], read_photo, bad, lambda done, total: tell("reading", done, total)):
            pass
    return Report(sets, (*_named(bad), *problems), tuple(leaked))


def _need_scikit_image() -> None:
    try:
        import clearair.data.leaks  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "The search for leaks needs scikit-image: pip install 'clearair[data]' (--no-leaks skips it)"
        ) from error


def _to_compare(data: Path, found: dict[str, Search], apart: HeldOut) -> tuple[list[Path], list[Path]]:
    """The clean training files, and the clean and damaged test files, each once."""
    train = dict.fromkeys(_photos(data / "train"))
    test = dict.fromkeys(pictures(below(data / "test")))
    for name, search in found.items():
        for item in search.items:
            if DATA_SETS[name].part == "test":
                test |= dict.fromkeys(path for path in (item.clean, item.damaged) if path)
            elif item.clean:
                train[item.clean] = None
    kept = [path for path in train if path not in test and not apart.is_left_out(path)]
    return kept, list(test)


def _not_here(data: Path, apart: HeldOut) -> list[str]:
    """A line when listed pictures are not below `train`: under other names they would be trained on."""
    names = apart.absent(below(data / "train"))
    if not names:
        return []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"{data / 'train'}: the list of held-out pictures names {', '.join(names[:3])}{more}, not here."]


def _photos(folder: Path) -> list[Path]:
    return [
        path
        for path in pictures(below(folder))
        if not set(path.relative_to(folder).parts[:-1]) & set(NOT_PHOTOS)
    ]


def _leaks(train: list[Path], test: list[Path], bad: dict[Path, str], tell: Tell) -> list[Leak]:
    """Return the training images that show test images; files that cannot be read are added to `bad`."""
    from clearair.data.fingerprints import take_fingerprint
    from clearair.data.leaks import find_leaks

    ours = list(_read(train, take_fingerprint, bad, lambda done, total: tell("reading train", done, total)))
    theirs = list(_read(test, take_fingerprint, bad, lambda done, total: tell("reading test", done, total)))
    return find_leaks(ours, theirs, lambda done, total: tell("searching leaks", done, total))


def _read(
    paths: list[Path], take: Callable[[Path], T], bad: dict[Path, str], tell: Callable[[int, int], None]
) -> Iterator[T]:
    """Yield the fingerprint of each file; files that cannot be read are added to `bad`."""
    for done, path in enumerate(paths, 1):
        try:
            yield take(path)
        except ImageError:
            bad.setdefault(path, f"{path}: cannot be read.")
        tell(done, len(paths))


def _own_pairs(data: Path, found: dict[str, Search]) -> tuple[Search, list[str]]:
    """Pairs in folders `input` and `target` below `train` and `test`, and what is wrong with the folders."""
    pairs, problems = Search(), []
    halves = {
        path
        for part in ("train", "test")
        for path in below(data / part)
        if path.name in ("input", "target")
        and path.is_dir()
        and data / "train/clean" not in path.parents  # where all are pictures to damage
    }
    # Some authors, too, call a folder `input`.
    halves -= {path.parent for search in found.values() for path in search.inputs()}
    for folder in sorted({half.parent for half in halves}):
        inputs, targets = folder / "input", folder / "target"
        if not targets.is_dir():
            problems.append(f"{inputs}: has no folder `target` beside it.")
        elif inputs.is_dir():
            damaged, clean = pictures(inputs.glob("*")), pictures(targets.glob("*"))
            if len(damaged) != len(clean):
                problems.append(f"{folder}: {len(damaged)} inputs but {len(clean)} targets.")
            pairs.match(damaged, clean, "stem", targets)
        elif needs_inputs(folder.name):
            problems.append(f"{targets}: has no folder `input` beside it.")
    return pairs, problems


def _without_half(found: dict[str, Search], own: Search) -> dict[Path, str]:
    """What is wrong with files that lack their other half, by path."""
    bad: dict[Path, str] = {}
    for name, search in found.items():
        bad |= search.problems
        count = DATA_SETS[name].count
        if count is not None and len(search.items) < count:  # else there are more targets than the set needs
            bad |= _alone(search)
    return bad | own.problems | _alone(own)


def _alone(search: Search) -> dict[Path, str]:
    return {path: f"{path}: has no input." for path, asked in search.targets.items() if not asked}


def _add_unequal(searches: Iterable[Search], bad: dict[Path, str], tell: Callable[[int, int], None]) -> None:
    """Find pairs whose halves differ in size, and halves that cannot be read."""
    pairs = {(item.damaged, item.clean) for search in searches for item in search.items}
    both = sorted((damaged, clean) for damaged, clean in pairs if damaged and clean)
    paths = dict.fromkeys(path for pair in both for path in pair)  # one clean picture may have many damaged
    sizes: dict[Path, str | None] = {}
    for path in paths:
        sizes[path] = _size(path, bad)
        tell(len(sizes), len(paths))
    for damaged, clean in both:
        one, other = sizes[damaged], sizes[clean]
        if one and other and one != other:
            bad[damaged] = f"{damaged}: its size and that of {clean} differ: {one} and {other} px."


def _size(path: Path, bad: dict[Path, str]) -> str | None:
    try:
        width, height = read_photo(path).size
    except ImageError as error:
        bad.setdefault(path, str(error))
        return None
    return f"{width} x {height}"


def _named(bad: dict[Path, str]) -> list[str]:
    """Messages of the files, sorted and limited per folder, since a folder may lack every other half."""
    by_folder: dict[Path, list[str]] = {}
    for path in sorted(bad):
        by_folder.setdefault(path.parent, []).append(bad[path])
    lines = []
    for folder, these in by_folder.items():
        lines += these[:MOST_NAMED]
        if len(these) > MOST_NAMED:
            lines.append(f"{folder}: {len(these) - MOST_NAMED} more of its files have problems.")
    return lines

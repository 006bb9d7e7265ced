"""Find folders of pictures that are never read: in the wrong place, or under another name."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from clearair.data.layouts import DATA_SETS, DataSet, Search, pictures, places
from clearair.kinds import PAIRED

OWN = (
    *("train", "train/clean", "train/depth", "train/blur", "train/regions"),
    *(f"train/{kind}" for kind in PAIRED),
    *("train/*/input", "train/*/target", "train/*/*/input", "train/*/*/target"),
    *("test", "test/*/input", "test/*/target"),
)
"""Folders that are looked for, beside those that authors distribute."""

_BY_LOWER_CASE = {name.lower(): data_set for name, data_set in DATA_SETS.items()}


def find_misplaced(data: Path, found: dict[str, Search]) -> list[str]:
    """Return a line for each folder that should be moved or renamed. `found` is what was read of each set."""
    problems: dict[Path, str] = {}
    for part in ("train", "test"):
        read = _read_from({name: each for name, each in found.items() if DATA_SETS[name].part == part})
        for folder, data_set in _called_like_sets(data / part):
            if data_set.part != part and folder not in read:
                problems[folder] = f"{folder}: {_other_part(data_set)}"
    for folder, name in _unlike_by_case(data):
        problems.setdefault(
            folder, f"{folder}: is not read, since upper and lower case count; call it `{name}`."
        )
    read = _read_from(found)
    for folder, data_set in _called_like_sets(data):
        if folder not in read:
            problems.setdefault(folder, f"{folder}: nothing in it is read. {_where(data_set)}")
    return [problems[folder] for folder in sorted(problems)]


def needs_inputs(name: str) -> bool:
    """Whether a folder of this name holds pairs, not clean photographs to be damaged when they are used."""
    data_set = _BY_LOWER_CASE.get(name.lower())
    return data_set is None or data_set.paired or not data_set.layouts


def _read_from(found: dict[str, Search]) -> set[Path]:
    """Folders in which, or below which, something of these sets was found."""
    folders = {path.parent for search in found.values() for path in search.files()}
    return {above for folder in folders for above in (folder, *folder.parents)}


def _called_like_sets(folder: Path) -> Iterator[tuple[Path, DataSet]]:
    for path in folder.glob("*"):
        if path.is_dir() and path.name.lower() in _BY_LOWER_CASE:
            yield path, _BY_LOWER_CASE[path.name.lower()]


def _counterpart(data_set: DataSet) -> DataSet | None:
    """The training set that goes with a test set, or the other way round."""
    if data_set.part == "test":
        return DATA_SETS.get(f"{data_set.name}-train")
    return DATA_SETS.get(data_set.name.removesuffix("-train")) if data_set.name.endswith("-train") else None


def _other_part(data_set: DataSet) -> str:
    """Advice for a folder named like a set of the other part."""
    part, other = data_set.part, _counterpart(data_set)
    if other is None:
        return f"{data_set.name} is a set for {part}ing; it belongs below {part}."
    # Only the user knows whether the place or the name is wrong.
    return (
        f"{data_set.name} is a set for {part}ing. If these are pairs for {other.part}ing, call the folder "
        f"`{other.name}`; if they are for {part}ing, move it below {part}."
    )


def _where(data_set: DataSet) -> str:
    """Where a set, and the one that goes with it, is looked for."""
    sets = [each for each in (data_set, _counterpart(data_set)) if each is not None]
    halves = "{input,target}" if needs_inputs(data_set.name) else "target"
    ways = [f"`{each.part}/{each.name}/{halves}`" for each in sets]
    ways += [f"`{layout.inputs or layout.targets}`" for each in sets for layout in each.layouts]
    return f"{data_set.name} is looked for as {', '.join(dict.fromkeys(ways))}."


def _unlike_by_case(data: Path) -> Iterator[tuple[Path, str]]:
    """Folders that would be read if upper and lower case were the same, and what they are to be called."""
    wanted = [(folder, "") for folder in OWN]
    for each in DATA_SETS.values():
        wanted.append((f"{each.part}/{each.name}", ""))
        for layout in each.layouts:
            wanted += [(way.rpartition("/")[0], way.rpartition("/")[2]) for way in places(layout, each)]
    for folder, files in wanted:
        for path in data.glob(_in_any_case(folder)):
            if not path.is_dir() or data / "train/clean" in path.parents:  # there, any name will do
                continue
            called = path.relative_to(data).parts
            for depth, (here, name) in enumerate(zip(called, folder.split("/"), strict=True)):
                if not fnmatchcase(here, name):
                    if not files or pictures(path.glob(files)):
                        yield data.joinpath(*called[: depth + 1]), name
                    break


def _in_any_case(pattern: str) -> str:
    return "".join(f"[{char.lower()}{char.upper()}]" if char.isalpha() else char for char in pattern)

"""Data sets in the folders their authors distribute them in: which file belongs to which.

A set is looked for as `test/SET/{input,target}` (or `train/...`), paired by stem, and then as its authors
lay it out, below the data folder itself, below `train` or `test`, or one folder deeper.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from clearair.errors import DataError
from clearair.image import SUFFIXES

Key = Literal["stem", "number", "scene", "frame"]
"""The part of the name that both halves of a pair share: the whole name; its first number; what comes before
the first "_"; or, for `im_0001_s80_a04`, the first two parts."""

_KEYS: dict[str, Callable[[str], str]] = {
    "stem": lambda stem: stem,
    "number": lambda stem: str(int(found[0])) if (found := re.findall(r"\d+", stem)) else stem,
    "scene": lambda stem: stem.split("_")[0],
    "frame": lambda stem: "_".join(stem.split("_")[:2]),
}


@dataclass(frozen=True)
class Layout:
    """Where pictures lie. Of a set of clean photographs only the targets are given."""

    targets: str
    """Pattern of files; for pairs relative to the folder of the input."""
    inputs: str | None = None
    """Pattern of files."""
    key: Key = "stem"
    label: Literal["", "folder", "sequence"] = ""
    """What tells pictures of the same name apart: the folder of the input, or the one above it."""


@dataclass(frozen=True)
class Item:
    """One picture of a set."""

    name: str
    damaged: Path | None
    """None: the input is made by adding noise."""
    clean: Path | None
    """None: there is no clean version."""


@dataclass
class Search:
    """The files found of a set: its valid items, and why other files are invalid."""

    items: list[Item] = field(default_factory=list)
    problems: dict[Path, str] = field(default_factory=dict)
    """Why an input belongs to no item, by its path."""
    targets: dict[Path, bool] = field(default_factory=dict)
    """Whether any input refers to a target, by its path."""

    def match(self, inputs: list[Path], targets: list[Path], key: Key, place: Path, label: str = "") -> None:
        """Add the pairs of two lists of files. Names of items begin with `label`; `place` is for messages."""
        take = _KEYS[key]
        by_key: dict[str, list[Path]] = {}
        for path in targets:
            by_key.setdefault(take(path.stem), []).append(path)
            self.targets.setdefault(path, False)
        names = Counter(path.stem for path in inputs)
        for path in inputs:
            found = by_key.get(take(path.stem), [])
            self.targets |= dict.fromkeys(found, True)
            if names[path.stem] > 1:
                self.problems[path] = (
                    f"{path}: is one of {names[path.stem]} pictures of that name in its folder; keep one."
                )
            elif len(found) == 1:
                self.items.append(Item(label + path.stem, path, found[0]))
            else:
                self.problems[path] = (
                    f"{path}: needs exactly one picture of that name in {place}, has {len(found)}."
                )

    def inputs(self) -> list[Path]:
        """Every input found, whether it belongs to an item or not."""
        return [*self.problems, *(item.damaged for item in self.items if item.damaged)]

    def files(self) -> list[Path]:
        """Every picture found."""
        return [*self.inputs(), *self.targets, *(item.clean for item in self.items if item.clean)]

    def complete(self) -> list[Item]:
        """The items. Raises DataError for an input without target, or several."""
        for problem in self.problems.values():
            raise DataError(problem)
        return self.items


@dataclass(frozen=True)
class DataSet:
    """A published set of pictures."""

    name: str
    part: Literal["train", "test"]
    layouts: tuple[Layout, ...]
    count: int | None = None
    """How many pairs or pictures the complete set has."""
    clean: bool = True
    """There is a clean version of each."""
    damage: tuple[str, ...] = ()
    """Damage of its pictures; empty if the folders name it, or there is none."""
    has_all: bool = False
    """All layouts together make up the set; otherwise they are alternatives, of which one is taken."""

    @property
    def paired(self) -> bool:
        """Whether it has damaged pictures."""
        return any(layout.inputs is not None for layout in self.layouts)


def _photos(*patterns: str) -> tuple[Layout, ...]:
    return tuple(Layout(pattern) for pattern in patterns)


def _gopro(part: str) -> tuple[Layout, ...]:
    return (Layout("../sharp/*", f"GOPRO_Large/{part}/*/blur/*", label="sequence"),)


def _snow(size: str) -> tuple[Layout, ...]:
    return (Layout("../gt/*", f"Snow100K-{size}/synthetic/*"),)


CDD11 = (
    "haze",
    "haze_rain",
    "haze_snow",
    "low",
    "low_haze",
    "low_haze_rain",
    "low_haze_snow",
    "low_rain",
    "low_snow",
    "rain",
    "snow",
)


def _rainds(part: str) -> tuple[Layout, ...]:
    return tuple(
        Layout("../gt/*", f"RainDS_real/{part}_set/{kind}/*", "number", "folder")
        for kind in ("raindrop", "rainstreak", "rainstreak_raindrop")
    )


def _cdd(part: str) -> tuple[Layout, ...]:
    return tuple(Layout("../clear/*", f"CDD-11_{part}/{kind}/*", label="folder") for kind in CDD11)


DATA_SETS = {
    each.name: each
    for each in (
        DataSet("BSD400", "train", _photos("BSD400/*"), 400),
        DataSet("WED", "train", _photos("WED/*", "pristine_images/*"), 4744),
        DataSet(
            "OTS",
            "train",
            (
                Layout("../../clear/*", "OTS/haze/*/*", "scene"),
                Layout("../../clear/clear_images/*", "OTS_ALPHA/haze/*/*", "scene"),
                Layout("../clear/*", "OTS/part*/*", "scene"),
                Layout("../clear/*", "OTS/hazy/*", "scene"),
            ),
            72135,
            damage=("haze",),
        ),
        DataSet(
            "Rain100L-train",
            "train",
            (
                Layout("../norain/*", "rain_data_train_Light/rain/*", "number"),
                Layout("norain-*", "Rain100L/train/rain-*", "number"),
                Layout("norain-*", "RainTrainL/rain-*", "number"),
            ),
            200,
            damage=("rain",),
        ),
        DataSet("GoPro-train", "train", _gopro("train"), 2103, damage=("blur",)),
        DataSet("LOLv1-train", "train", (Layout("../high/*", "our485/low/*"),), 485, damage=("lowlight",)),
        DataSet("Snow100K-train", "train", (Layout("../gt/*", "all/synthetic/*"),), 50000, damage=("snow",)),
        DataSet(
            "Outdoor-Rain-train",
            "train",
            (Layout("../gt/*", "Outdoor-Rain/train/in/*", "frame"),),
            9000,
            damage=("haze", "rain"),
        ),
        DataSet(
            "RainDrop-train",
            "train",
            (Layout("../gt/*", "train/data/*", "scene"),),
            861,
            damage=("raindrop",),
        ),
        DataSet("CDD-11-train", "train", _cdd("train"), 13013, has_all=True),
        DataSet("RainDS-train", "train", _rainds("train"), 450, has_all=True),
        DataSet("CBSD68", "test", _photos("CBSD68/original_png/*", "CBSD68/original/*", "CBSD68/*"), 68),
        DataSet("Urban100", "test", _photos("Urban100/image_SRF_4/*_HR.*", "Urban100/*"), 100),
        DataSet("Kodak24", "test", _photos("Kodak24/*"), 24),
        DataSet(
            "SOTS-outdoor",
            "test",
            (
                Layout("../gt/*", "SOTS/outdoor/hazy/*", "scene"),
                Layout("../gt/*", "outdoor/hazy/*", "scene"),
                Layout("../clear/*", "SOTS/outdoor/haze/*", "scene"),
            ),
            500,
        ),
        DataSet("SOTS-indoor", "test", (Layout("../gt/*", "SOTS/indoor/hazy/*", "scene"),), 500),
        DataSet(
            "Rain100L",
            "test",
            (
                Layout("../../norain/*", "rain_data_test_Light/rain/X2/*", "number"),
                Layout("../norain/*", "rain_data_test_Light/rain/*", "number"),
                Layout("../norain/*", "Rain100L/rain/*", "number"),
                Layout("../norain/*", "Rain100L/rainy/*", "number"),
                Layout("norain-*", "Rain100L/rain-*", "number"),
            ),
            100,
        ),
        DataSet("GoPro", "test", _gopro("test"), 1111),
        DataSet("LOLv1", "test", (Layout("../high/*", "eval15/low/*"),), 15),
        DataSet("Snow100K-S", "test", _snow("S"), 16611),
        DataSet("Snow100K-M", "test", _snow("M"), 16588),
        DataSet("Snow100K-L", "test", _snow("L"), 16801),
        DataSet("Snow100K-real", "test", (Layout("", "realistic/*"),), 1329, clean=False),
        DataSet(
            "Outdoor-Rain",
            "test",
            (
                Layout("../gt/*", "Outdoor-Rain/test1/in/*", "frame"),
                Layout("../gt/*", "Outdoor-Rain/test1/input/*", "frame"),
                Layout("../gt/*", "test1/in/*", "frame"),
                Layout("../gt/*", "test1/input/*", "frame"),
            ),
            750,
        ),
        DataSet("RainDrop", "test", (Layout("../gt/*", "test_a/data/*", "scene"),), 58),
        DataSet("CDD-11", "test", _cdd("test"), 2200, has_all=True),
        DataSet("RainDS", "test", _rainds("test"), 294, has_all=True),
        DataSet("RESIDE-OTS", "test", ()),
    )
}
"""By name. A new set is an entry here; a private one needs none, any two folders will do (`pair_folders`)."""


_IN_FOLDERS = {"low": "lowlight", "rainstreak": "rain"}
"""Folder names of CDD-11 and RainDS for kinds of damage that have another name here."""


def damage_of(name: str, item: Item) -> tuple[str, ...]:
    """The damage of a picture of a set."""
    named = item.name.split("/")[0].split("_")
    return DATA_SETS[name].damage or tuple(_IN_FOLDERS.get(part, part) for part in named)


def find_set(data: Path, data_set: DataSet) -> list[Item]:
    """The pictures of a set, sorted by path; empty when it is not there (`search_set`).

    Raises DataError for an input without target, or several.
    """
    return search_set(data, data_set).complete()


def search_set(data: Path, data_set: DataSet) -> Search:
    """The pictures of a set, sorted by path, and those that have no other half.

    Of the layouts the first is taken that has files, and with it those that differ only by a sub-folder of
    the same set.
    """
    search = Search()
    plain = data / data_set.part / data_set.name
    if (plain / "target").is_dir() or (not data_set.clean and plain.is_dir()):
        _add_plain(search, plain)
        return search
    for layout in data_set.layouts:
        if (search.items or search.problems) and not data_set.has_all:
            break
        _add_layout(search, data, layout, data_set)
    return search


def pair_folders(inputs: Path, targets: Path) -> list[Item]:
    """Any two folders, paired by stem. Raises DataError for what has no other half, or no files at all."""
    damaged, clean = pictures(inputs.glob("*")), pictures(targets.glob("*"))
    for folder, files in ((inputs, damaged), (targets, clean)):
        if not files:
            raise DataError(f"{folder}: this folder is missing or holds no pictures.")
    search = Search()
    search.match(damaged, clean, "stem", targets)
    items = search.complete()
    lonely = sorted({path.stem for path in clean} - {path.stem for path in damaged})
    if lonely:
        raise DataError(
            f"{targets}: {len(damaged)} inputs but {len(clean)} targets; {lonely[0]} has no input."
        )
    return items


def below(folder: Path) -> Iterator[Path]:
    """Files and folders below a folder, also behind symbolic links; nothing where there is no folder.

    A link to a folder above is not followed. Raises DataError for a folder that cannot be read.
    """
    above = frozenset(_identity(each) for each in folder.resolve().parents if each.exists())
    return _below(folder, above)


def _below(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    try:
        identity = _identity(folder)
        if identity in above:
            return
        with os.scandir(folder) as found:
            entries = [(folder / entry.name, entry.is_dir()) for entry in found]
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read: {error.strerror}.") from error
    for entry, is_folder in entries:
        yield entry
        if is_folder:
            yield from _below(entry, above | {identity})


def _identity(folder: Path) -> tuple[int, int]:
    stat = folder.stat()
    return stat.st_dev, stat.st_ino


def pictures(paths: Iterable[Path]) -> list[Path]:
    """Those that have the suffix of a picture, sorted; also broken links, which cannot be read."""
    named = (path for path in paths if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in named if path.is_file() or not path.exists())


def match_sets(folder: Path, first: str, second: str) -> list[tuple[Path, Path]]:
    """Pairs by stem of the pictures in `folder/SET/first` and `folder/SET/second`, sorted by the first.

    Raises DataError for a first one without a second, and for several of one name.
    """
    search = Search()
    for inputs in sorted(folder.glob(f"*/{first}")):
        targets = pictures((inputs.parent / second).glob("*"))
        search.match(pictures(inputs.glob("*")), targets, "stem", Path("..", second))
    return [(item.damaged, item.clean) for item in search.complete() if item.damaged and item.clean]


def _add_plain(search: Search, folder: Path) -> None:
    targets = pictures((folder / "target").glob("*"))
    inputs = pictures((folder / "input").glob("*"))
    if not (folder / "target").is_dir():
        search.items += [Item(path.stem, path, None) for path in pictures(below(folder))]
    elif not inputs and not (folder / "input").is_dir():
        search.items += [Item(path.stem, None, path) for path in targets]
    else:
        search.match(inputs, targets, "stem", folder / "target")


def _add_layout(search: Search, data: Path, layout: Layout, data_set: DataSet) -> None:
    files: list[Path] = []
    for pattern in places(layout, data_set):
        files = pictures(data.glob(pattern))
        if files:
            break
    if layout.inputs is None:
        search.items += [Item(path.stem, None, path) for path in files]
    elif not data_set.clean:
        search.items += [Item(path.stem, path, None) for path in files]
    else:
        for folder in sorted({path.parent for path in files}):
            way, _, names = layout.targets.rpartition("/")
            place = Path(os.path.normpath(folder / way))
            inside = [path for path in files if path.parent == folder]
            search.match(inside, pictures(place.glob(names)), layout.key, place, _label(folder, layout))


def places(layout: Layout, data_set: DataSet) -> list[str]:
    """Patterns of the files that a layout starts from, below the data folder, in the order of search."""
    pattern = layout.targets if layout.inputs is None else layout.inputs
    return [above + pattern for above in ("", f"{data_set.part}/", "*/", f"{data_set.part}/*/")]


def _label(folder: Path, layout: Layout) -> str:
    """The beginning of the names of a folder's pictures."""
    if not layout.label:
        return ""
    return f"{folder.name if layout.label == 'folder' else folder.parent.name}/"

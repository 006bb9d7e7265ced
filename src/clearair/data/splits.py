"""Which pictures of a data folder are held out: never trained on, by the restorer or by its perceivers.

Training, validation and benchmarks all use `held_out`. The list itself is data. It lies in the data folder as
`train/held_out.toml`, or where the environment variable CLEARAIR_HELD_OUT says. Its tables, each of which may
be absent:

    [every]     KIND = n                    every n-th of train/KIND, sorted by path, from the first on
    [whole]     KIND = ["SET"]              sets of train/KIND that are trained on whole and not counted
    [cameras]   KIND = ["CAMERA"]           instead of every n-th: pairs whose file names begin with CAMERA_
    [named]     sources = ["KIND/SOURCE"]   whole sources of train/named
    [unusual]   REASON = ["SET/NAME"]       photographs of train/clean that look damaged and are not
    [left_out]  files = ["SET/NAME"]        neither trained on nor validated on

Files are named by the last two parts of their path; suffixes do not count, so a list fits copies in another
format.
"""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from clearair.errors import DataError
from clearair.kinds import BY_NAME, NAMES

LIST = "held_out.toml"
"""The name of the list, below `train`."""
VARIABLE = "CLEARAIR_HELD_OUT"
"""The environment variable that names a list for data folders that have none, such as read-only ones."""
CLEAN = "clean"
EVERY = {CLEAN: 20, **{name: BY_NAME[name].held_out_every for name in NAMES}}
"""The default without a list."""

_log = logging.getLogger(__name__)
_told: set[Path] = set()

T = TypeVar("T")


@dataclass(frozen=True)
class HeldOut:
    """What is held out of a data folder; the fields are the tables of a list."""

    every: Mapping[str, int] = field(default_factory=dict)
    whole: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cameras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    unusual: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def split(self, items: Sequence[T], kind: str) -> tuple[list[T], list[T]]:
        """Divide the sorted pictures or pairs of a kind into those for training and those held out.

        `kind` is `clean` or a kind of damage. Unusual pictures are never for training, and held out only if
        the every-n-th rule selects them.
        """
        if kind in self.cameras:
            kept = [item for item in items if _camera(item) in self.cameras[kind]]
        else:
            whole = self.whole.get(kind, ())
            every = self.every.get(kind, EVERY[kind])
            kept = [item for item in items if _set_of(item) not in whole][::every]
        apart = set(kept)
        return [item for item in items if item not in apart and not self._is_barred(item)], kept

    def find_unusual(self, photos: Iterable[Path]) -> dict[Path, str]:
        """The unusual clean photographs, and why."""
        reasons = {path: self.why_unusual(path) for path in photos}
        return {path: why for path, why in reasons.items() if why is not None}

    def undamaged(self, photos: Sequence[Path]) -> dict[Path, str]:
        """Clean photographs that are not trained on and must not change: "held out", or why they are
        unusual."""
        return dict.fromkeys(self.split(photos, CLEAN)[1], "held out") | self.find_unusual(photos)

    def why_unusual(self, item: object) -> str | None:
        """What is unusual about a clean photograph given by its path; None for all others and for pairs."""
        return self._reasons.get(_name(item))

    def is_left_out(self, item: object) -> bool:
        """Whether a picture, or the damaged one of a pair, is for neither training nor validation."""
        return _name(item) in self._left_out

    def absent(self, paths: Iterable[Path]) -> tuple[str, ...]:
        """Names on the list that match none of these paths; renamed files would be trained on."""
        here = {_name(path) for path in paths}
        listed = [name for names in (*self.unusual.values(), self.left_out) for name in names]
        return tuple(name for name in listed if _name(Path(name)) not in here)

    @cached_property
    def _reasons(self) -> dict[str, str]:
        return {_name(Path(name)): why for why, names in self.unusual.items() for name in names}

    @cached_property
    def _left_out(self) -> frozenset[str]:
        return frozenset(_name(Path(name)) for name in self.left_out)

    def _is_barred(self, item: object) -> bool:
        return self.why_unusual(item) is not None or self.is_left_out(item)


def held_out(data: Path) -> HeldOut:
    """What is held out of a data folder.

    Without a list that is every n-th picture by `EVERY`, and a remark is logged once. Raises DataError for a
    list that cannot be read, holds something else, or is named by CLEARAIR_HELD_OUT and not there.
    """
    path, said = data / "train" / LIST, os.environ.get(VARIABLE)
    if path.is_file():
        return read_list(path)
    if said:
        if not Path(said).is_file():
            raise DataError(f"{said}: there is no such list of held-out pictures; {VARIABLE} names it.")
        return read_list(Path(said))
    if path not in _told:
        _told.add(path)
        _log.warning("%s is missing, so every n-th picture is held out, and none by name.", path)
    return HeldOut()


def read_list(path: Path) -> HeldOut:
    """Read a list. Raises DataError when it cannot be read or holds something else."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise DataError(f"{path}: is not a TOML file ({error}).") from error
    known = {"every", "whole", "cameras", "named", "unusual", "left_out"}
    if unknown := sorted(set(tables) - known):
        raise DataError(f"{path}: has no table {unknown[0]!r}; known are {', '.join(sorted(known))}.")
    for name, table in tables.items():
        _check_table(path, name, table)
    names = {name: {key: tuple(value) for key, value in tables.get(name, {}).items()} for name in _LISTS}
    return HeldOut(
        every=tables.get("every", {}),
        whole=names["whole"],
        cameras=names["cameras"],
        sources=names["named"].get("sources", ()),
        unusual=names["unusual"],
        left_out=names["left_out"].get("files", ()),
    )


_LISTS = ("whole", "cameras", "named", "unusual", "left_out")
"""Tables of lists of names."""
_ONLY = {
    **{name: tuple(EVERY) for name in ("every", "whole", "cameras")},
    "named": ("sources",),
    "left_out": ("files",),
}
"""The entries that a table may have, where these are given."""


def _check_table(path: Path, name: str, table: Any) -> None:
    """Raise DataError for a table of a list whose entries are unknown or of another type."""
    if not isinstance(table, dict):
        raise DataError(f"{path}: {name} must be a table.")
    for key, value in table.items():
        if key not in _ONLY.get(name, (key,)):
            raise DataError(f"{path}: [{name}] has no entry {key!r}; known are {', '.join(_ONLY[name])}.")
        if name == "every":
            if type(value) is not int or value < 1:
                raise DataError(f"{path}: [{name}] {key} must be a number from 1 on, got {value!r}.")
        elif not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise DataError(f"{path}: [{name}] {key} must be a list of names, got {value!r}.")


def _path(item: object) -> Path | None:
    """The path of a picture, or of the damaged one of a pair."""
    path = item[0] if isinstance(item, tuple) else item
    return path if isinstance(path, Path) else None


def _name(item: object) -> str:
    """The last two parts of its path, without the suffix; empty for what has no path."""
    path = _path(item)
    return "" if path is None else f"{path.parent.name}/{path.stem}"


def _camera(item: object) -> str:
    path = _path(item)
    return "" if path is None else path.name.partition("_")[0]


def _set_of(item: object) -> str:
    """SET of a pair whose damaged picture is `train/KIND/SET/input/NAME`."""
    path = _path(item)
    return "" if path is None else path.parent.parent.name

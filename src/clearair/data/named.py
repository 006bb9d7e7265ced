"""Real photographs whose damage is known by name only: `train/named/KIND/SOURCE/*`.

There is no clean version of them. They teach what real damage looks like, and what undamaged scenes of the
same sort look like (KIND `clean`); they cannot teach how to restore.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from clearair.data.mixtures import ON_TOP
from clearair.data.splits import CLEAN, held_out
from clearair.image import SUFFIXES
from clearair.kinds import NAMES, REGISTRY

_UNKNOWN = {kind.name: (*ON_TOP, *kind.may_show) for kind in REGISTRY if kind.may_show is not None}
_UNKNOWN[CLEAN] = ON_TOP
"""Kinds that a photograph may also show without a label: weather comes with mist, and web pages
recompress."""


@dataclass(frozen=True)
class NamedPhoto:
    """A photograph, and the one thing that is known about it."""

    path: Path
    kind: str
    """A kind of damage, or `clean`."""
    source: str
    """KIND/SOURCE."""
    held_out: bool = False
    """Whether it is for validation; all photographs of a source are, or none."""

    @property
    def label(self) -> tuple[float, ...]:
        """For each kind 1 if present, 0 if absent, NaN if unknown."""
        unknown = _UNKNOWN[self.kind]
        return tuple(1.0 if k == self.kind else math.nan if k in unknown else 0.0 for k in NAMES)


def find_named(data: Path) -> list[NamedPhoto]:
    """All of them, sorted by path; missing folders and unknown kinds are skipped."""
    paths = sorted(
        path for path in (data / "train" / "named").glob("*/*/*") if path.suffix.lower() in SUFFIXES
    )
    if not paths:
        return []
    sources = held_out(data).sources
    found = [NamedPhoto(path, path.parts[-3], "/".join(path.parts[-3:-1])) for path in paths]
    return [replace(photo, held_out=photo.source in sources) for photo in found if photo.kind in _UNKNOWN]

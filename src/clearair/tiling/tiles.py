"""Large pictures in overlapping tiles, blended so that no seam shows.

Shapes: H x W pixels of a picture, h x w of a tile, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clearair.errors import UsageError

ALIGNMENT = 8
"""Tiles begin at multiples of this, so that every tile meets the network's coarse grid in the same phase."""
MIN_SIDE = 64
"""Smaller tiles would be mostly overlap."""
MAX_OVERLAP = 64
"""`compact`'s result for a pixel hardly depends on anything farther away than half of this."""
DISCARDED = 3 / 8
"""Share of an overlap, at either end, that is taken from the other tile alone: the outermost pixels of a
tile, restored without their surroundings, are too inaccurate to be blended."""

STRETCH = 1.2
"""Factor by which tiles may be larger than usual if that needs fewer of them."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """A rectangle of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the rectangle in an array (H, W, ...)."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def moved(self, down: int, right: int) -> Window:
        """The same rectangle, shifted down and right."""
        return replace(self, top=self.top + down, left=self.left + right)


@dataclass(frozen=True, eq=False)
class Span:
    """Part of one axis, and its weight at each position."""

    start: int
    stop: int
    weights: Floats
    """(stop - start,) in [0, 1]; those of all spans that cover a position sum to one."""


@dataclass(frozen=True, eq=False)
class Tiling:
    """Tiles that cover a picture: each row span crossed with each column span."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def height(self) -> int:
        """H of the picture."""
        return self.rows[-1].stop

    @property
    def width(self) -> int:
        """W of the picture."""
        return self.columns[-1].stop


def plan_tiles(height: int, width: int, side: int | None) -> Tiling:
    """Cover a picture with tiles of at most `side` pixels a side, all of nearly the same size.

    None takes the whole picture as one tile. Raises UsageError for a side below 64.
    """
    if side is not None and side < MIN_SIDE:
        raise UsageError(f"A tile needs at least {MIN_SIDE} px a side, got {side}.")
    return Tiling(_spans(height, side), _spans(width, side))


def best_side(height: int, width: int, side: int) -> int:
    """The side, from `side` to a fifth more, with which tiles cover a picture with the least overlap."""

    def covered(each: int) -> int:
        rows, columns = (
            sum(stop - start for start, stop in _bounds(length, each)) for length in (height, width)
        )
        return rows * columns

    return min(range(side, int(STRETCH * side) + 1, ALIGNMENT), key=covered)


def blend_tiles(
    tiling: Tiling, restore: Callable[[Sequence[Window]], Iterable[Floats]]
) -> Iterator[tuple[int, Floats]]:
    """Restore every tile and blend them; yields finished rows (top, (h, W, C)) from top to bottom.

    `restore` gives the values (h, w, C) of the windows of one row of tiles, from left to right. Only one row
    is held at a time, so the memory is that of a strip, however tall the picture.
    """
    unfinished: Floats | None = None
    for index, row in enumerate(tiling.rows):
        band: Floats | None = None
        height = row.stop - row.start
        windows = [Window(row.start, each.start, height, each.stop - each.start) for each in tiling.columns]
        for column, tile in zip(tiling.columns, restore(windows), strict=True):
            if band is None:
                band = np.zeros((height, tiling.width, tile.shape[2]), np.float32)
            weights = row.weights[:, None] * column.weights[None, :]
            band[:, column.start : column.stop] += tile * weights[..., None]
        assert band is not None
        if unfinished is not None:
            band[: len(unfinished)] += unfinished
        last = index == len(tiling.rows) - 1
        finished = (row.stop if last else tiling.rows[index + 1].start) - row.start
        yield row.start, band[:finished]
        unfinished = band[finished:].copy()


def _spans(length: int, side: int | None) -> tuple[Span, ...]:
    if side is None or length <= side:
        return (Span(0, length, np.ones(length, np.float32)),)
    bounds = _bounds(length, side)
    bumps = [_bump(start, stop, length, _overlap(side)) for start, stop in bounds]
    total = np.zeros(length)
    for (start, stop), bump in zip(bounds, bumps, strict=True):
        total[start:stop] += bump
    return tuple(
        Span(start, stop, (bump / total[start:stop]).astype(np.float32))
        for (start, stop), bump in zip(bounds, bumps, strict=True)
    )


def _bounds(length: int, side: int) -> list[tuple[int, int]]:
    """Where spans of at most `side` start and stop."""
    if length <= side:
        return [(0, length)]
    room = side - ALIGNMENT  # rounding starts down may lengthen a span by this
    overlap = _overlap(side)
    count = math.ceil((length - overlap) / (room - overlap))
    even = math.ceil((length + (count - 1) * overlap) / count)  # sides of equal spans that just suffice
    starts = [i * (length - even) // (count - 1) // ALIGNMENT * ALIGNMENT for i in range(count)]
    return [(start, min(length, start + even + ALIGNMENT)) for start in starts]


def _overlap(side: int) -> int:
    return min(MAX_OVERLAP, side // 4)


def _bump(start: int, stop: int, length: int, overlap: int) -> NDArray[np.float64]:
    """(stop - start,) weights that rise and fall as sin^2 in overlaps, not at the picture's edges."""
    positions = np.arange(start, stop) + 0.5
    discarded = int(DISCARDED * overlap)
    ramp = overlap - 2 * discarded
    inside = np.full(len(positions), float(ramp))
    if start > 0:
        inside = np.minimum(inside, positions - start - discarded)
    if stop < length:
        inside = np.minimum(inside, stop - discarded - positions)
    bump: NDArray[np.float64] = np.sin(0.5 * np.pi * inside.clip(0) / ramp) ** 2
    return bump

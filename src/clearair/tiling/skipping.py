"""Tiles that can stay as they are, since restoring them would change nothing that can be seen.

Before a tile is restored, small windows of it are: probes. What is made of them stands for the tile. Damage
ends somewhere, so they lie everywhere in it, `SPACING` apart; changes show first where there is texture, so
each takes the most textured place around, and the most textured of them is the first. In a picture that is
damaged all over, the first probe of the first tile decides, and what is made of a tile speaks for the next
ones, which overlap with it.

Shapes: H x W pixels of a picture, h x w of a tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from clearair.tiling.tiles import ALIGNMENT, DISCARDED, MAX_OVERLAP, Floats, Tiling, Window

PROBE = 64
"""Side of a probe in pixels."""
MARGIN = 8
"""Pixels at a probe's sides that are not judged, since the network saw nothing beyond them."""
SPACING = 2 * PROBE
"""Pixels from one probe to the next: one is restored of every four places."""
SMALLEST = 3 * SPACING**2
"""Pixels of the smallest tiles that are probed; of smaller ones, probes would take too large a part."""


class Skipper:
    """Tells which tiles of one picture need nothing; asked and told in the order of `blend_tiles`."""

    def __init__(
        self,
        tiling: Tiling,
        change: Callable[[Window, Floats], Floats],
        is_visible: Callable[[Floats, Floats], bool],
    ) -> None:
        """`change` gives what restoring adds to a window (h, w, 3), `is_visible` judges it beside the pixels.

        Of a picture of one tile nothing is skipped: the perceivers have said that it needs something.
        """
        self._change = change
        self._is_visible = is_visible
        self._whole = Window(0, 0, tiling.height, tiling.width)
        self._active = len(tiling) > 1
        covered = (-(-length // ALIGNMENT) for length in (tiling.height, tiling.width))
        self._seen: NDArray[np.bool_] = np.zeros(tuple(covered), bool)  # where tiles before changed visibly

    def needs_nothing(self, window: Window, pixels: Floats) -> bool:
        """Whether no visible change is expected in a tile with these pixels (h, w, 3) in [0, 1]."""
        if not self._is_worthwhile(window) or self._seen[_cells(window)].any():
            return False
        return not any(self._shows(window, place, pixels[place.slices]) for place in probes(pixels))

    def learn(self, window: Window, pixels: Floats, added: Floats) -> None:
        """Remember where what was added to a tile (h, w, 3) can be seen and the next tiles lie as well."""
        if not self._is_worthwhile(window):
            return
        for strip in _shared(window, self._whole):
            for part in _pieces(strip):
                if self._is_visible(pixels[part.slices], added[part.slices]):
                    self._seen[_cells(part.moved(window.top, window.left))] = True
                    break

    def _is_worthwhile(self, window: Window) -> bool:
        return self._active and window.height * window.width >= SMALLEST

    def _shows(self, window: Window, place: Window, pixels: Floats) -> bool:
        added = self._change(place.moved(window.top, window.left), pixels)
        rows, columns = (slice(MARGIN, max(length - MARGIN, MARGIN + 1)) for length in added.shape[:2])
        return self._is_visible(pixels[rows, columns], added[rows, columns])


def probes(pixels: Floats) -> list[Window]:
    """Places of a tile (h, w, 3) that stand for it, the most textured first."""
    rows, columns = (_starts(length) for length in pixels.shape[:2])
    light = pixels.mean(axis=2)
    groups: dict[tuple[int, int], tuple[float, Window]] = {}
    for down, top in enumerate(rows):
        for across, left in enumerate(columns):
            place = Window(top, left, min(PROBE, len(light)), min(PROBE, light.shape[1]))
            texture = float(light[place.slices].std())
            group = (down * PROBE // SPACING, across * PROBE // SPACING)
            if group not in groups or texture > groups[group][0]:
                groups[group] = (texture, place)
    return [place for _, place in sorted(groups.values(), key=lambda found: -found[0])]


def _starts(length: int) -> list[int]:
    """Where places begin that cover a side; at multiples of `ALIGNMENT`, as tiles do."""
    count = -(-length // PROBE)
    last = max(0, length - PROBE)
    return [last * index // max(1, count - 1) // ALIGNMENT * ALIGNMENT for index in range(count)]


def _shared(window: Window, whole: Window) -> Iterator[Window]:
    """What a tile shares with the one below and the one to the right, without what is not used of it."""
    unused = int(DISCARDED * MAX_OVERLAP)
    deep = MAX_OVERLAP - unused
    if window.top + window.height < whole.height:
        yield Window(window.height - MAX_OVERLAP, 0, deep, window.width)
    if window.left + window.width < whole.width:
        yield Window(0, window.width - MAX_OVERLAP, window.height, deep)


def _pieces(strip: Window) -> Iterator[Window]:
    for top in range(0, strip.height, PROBE):
        for left in range(0, strip.width, PROBE):
            height, width = min(PROBE, strip.height - top), min(PROBE, strip.width - left)
            yield Window(strip.top + top, strip.left + left, height, width)


def _cells(window: Window) -> tuple[slice, slice]:
    bottom, right = window.top + window.height, window.left + window.width
    return (
        slice(window.top // ALIGNMENT, -(-bottom // ALIGNMENT)),
        slice(window.left // ALIGNMENT, -(-right // ALIGNMENT)),
    )

"""Finds tiles that can be skipped because restoring them would change nothing visible.

Before a tile is restored, small windows of it are: probes. Their result represents the tile. Changes show
first where there is texture, so the first probe is the most textured place, and tiles that need restoring
rarely need more probes. If it shows no change, strips across the tile follow, since damage may cover only a
part. The result of a tile also counts for the next ones that overlap with it: a picture that is damaged
everywhere costs about one probe.

Shapes: H x W pixels of a picture, h x w of a tile.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from clearair.tiling.tiles import ALIGNMENT, DISCARDED, MAX_OVERLAP, Floats, Tiling, Window

PROBE = 64
"""Side of the first probe in pixels, and height of strips."""
MARGIN = 8
"""Pixels at a probe's sides that are not judged, since the network saw nothing beyond them."""
SPACING = 192
"""Pixels, about, from one strip to the next. Strips cost less than as many pixels in squares."""
SMALLEST = 12 * PROBE**2
"""Pixels of the smallest tiles that are probed; in smaller ones, probes would be too large a part."""


class Skipper:
    """Decides which tiles of one picture are skipped; called in the order of `blend_tiles`."""

    def __init__(
        self,
        tiling: Tiling,
        change: Callable[[Window, Floats], Floats],
        is_visible: Callable[[Floats, Floats], bool],
    ) -> None:
        """`change` gives what restoring adds to a window (h, w, 3), `is_visible` judges it beside the pixels.

        A picture of one tile is never skipped: the perceivers have found damage in it.
        """
        self._change = change
        self._is_visible = is_visible
        self._whole = Window(0, 0, tiling.height, tiling.width)
        self._active = len(tiling) > 1
        covered = (-(-length // ALIGNMENT) for length in (tiling.height, tiling.width))
        self._seen: NDArray[np.bool_] = np.zeros(tuple(covered), bool)  # where earlier tiles changed visibly

    def needs_nothing(self, window: Window, pixels: Floats) -> bool:
        """Whether no visible change is expected in a tile with these pixels (h, w, 3) in [0, 1]."""
        if not self._is_worthwhile(window) or self.has_seen(window):
            return False
        return not any(self._shows(window, place, pixels[place.slices]) for place in probes(pixels))

    def has_seen(self, window: Window) -> bool:
        """Whether an earlier tile changed visibly where it overlaps with this one."""
        return bool(self._seen[_cells(window)].any())

    def learn(self, window: Window, pixels: Floats, added: Floats) -> None:
        """Remember where the change of a tile (h, w, 3) is visible and the next tiles overlap."""
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
        inner = Window(MARGIN, MARGIN, *(max(1, length - 2 * MARGIN) for length in added.shape[:2]))
        return any(self._is_visible(pixels[part.slices], added[part.slices]) for part in _pieces(inner))


def probes(pixels: Floats) -> list[Window]:
    """Probes of a tile (h, w, 3): the most textured place, then strips from side to side."""
    texture = _texture(pixels)
    height, width = texture.shape
    squares = [
        Window(top, left, min(PROBE, height), min(PROBE, width))
        for top in range(0, max(1, height - PROBE + 1), PROBE)
        for left in range(0, max(1, width - PROBE + 1), PROBE)
    ]
    strips = []
    count = max(1, round(height / SPACING))
    bounds = [height * index // count // ALIGNMENT * ALIGNMENT for index in range(count)] + [height]
    for top, bottom in itertools.pairwise(bounds):
        tops = range(top, max(top + 1, bottom - PROBE + 1), ALIGNMENT)
        strips.append(_most(texture, [Window(each, 0, min(PROBE, height), width) for each in tops]))
    return [_most(texture, squares), *strips]


def _texture(pixels: Floats) -> Floats:
    """How much each pixel's light (h, w) differs from that of the ones above and to the left."""
    light = pixels.mean(axis=2)
    texture: Floats = np.abs(np.diff(light, axis=0, prepend=light[:1]))
    texture += np.abs(np.diff(light, axis=1, prepend=light[:, :1]))
    return texture


def _most(texture: Floats, places: Sequence[Window]) -> Window:
    """The most textured of places of one size."""
    return max(places, key=lambda place: float(texture[place.slices].sum()))


def _shared(window: Window, whole: Window) -> Iterator[Window]:
    """The overlap of a tile with the ones below and to the right, without its unused margin."""
    unused = int(DISCARDED * MAX_OVERLAP)
    deep = MAX_OVERLAP - unused
    if window.top + window.height < whole.height:
        yield Window(window.height - MAX_OVERLAP, 0, deep, window.width)
    if window.left + window.width < whole.width:
        yield Window(0, window.width - MAX_OVERLAP, window.height, deep)


def _pieces(area: Window) -> Iterator[Window]:
    """Parts of a window that are judged separately, about as large as the first probe."""
    rows, columns = (max(1, round(length / PROBE)) for length in (area.height, area.width))
    for row, column in itertools.product(range(rows), range(columns)):
        top, left = area.height * row // rows, area.width * column // columns
        bottom, right = area.height * (row + 1) // rows, area.width * (column + 1) // columns
        yield Window(area.top + top, area.left + left, bottom - top, right - left)


def _cells(window: Window) -> tuple[slice, slice]:
    bottom, right = window.top + window.height, window.left + window.width
    return (
        slice(window.top // ALIGNMENT, -(-bottom // ALIGNMENT)),
        slice(window.left // ALIGNMENT, -(-right // ALIGNMENT)),
    )

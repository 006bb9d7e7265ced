"""How large the tiles of a photo are, and what the photo costs: as device, network and memory allow."""

from __future__ import annotations

from typing import Literal

from clearair.budget import Budget
from clearair.errors import UsageError
from clearair.image import Photo
from clearair.runtime.protocol import CountsMemory, Runtime, SeesWhole
from clearair.tiling import MIN_SIDE, best_side, plan_tiles

TileSide = int | Literal["auto", "off"]

AUTO_SIDE = {"cpu": 512, "mps": 768, "cuda": 1024}
"""Sides of tiles in pixels that keep each kind of device busy without filling its memory."""

USUAL_PIXEL_BYTES = 3000
"""Bytes a pixel of a tile takes in a network that does not say."""


class Sizing:
    """The sides of tiles and the memory budget that one network works with."""

    def __init__(self, runtime: Runtime, tile: TileSide, memory_budget: int | str | None) -> None:
        """Raises UsageError for a side that makes no sense, and a budget that is too small for any photo."""
        self.side = _tile_side(tile, runtime)
        """Side of tiles in pixels where memory allows it; None for the photo as a whole."""
        self._stretches = tile == "auto"
        counts = isinstance(runtime, CountsMemory)
        tile_pixel = runtime.tile_pixel_bytes if isinstance(runtime, CountsMemory) else USUAL_PIXEL_BYTES
        self.budget = Budget.of(memory_budget, tile_pixel, may_overwrite=counts)
        self._bounded = tile == "auto" or memory_budget is not None

    def cost(self, width: int, height: int, pixel_bytes: int) -> int:
        """Bytes that a photo of this size takes at most. Raises ImageError when the budget has no room."""
        return self.budget.cost((width, height), pixel_bytes, self._wanted((width, height)))

    def side_for(self, photo: Photo) -> int | None:
        """The side of tiles that the budget allows for a photo."""
        if not self._bounded:
            return self.side
        return self.budget.side_for(photo.size, _pixel_bytes(photo), self._wanted(photo.size))

    def overwrites(self, photo: Photo) -> bool:
        """Whether the result has to replace the pixels that came in, and can."""
        return photo.pixels.flags.writeable and self.budget.overwrites(photo.size, _pixel_bytes(photo))

    def _wanted(self, size: tuple[int, int]) -> int | None:
        """The side of tiles for a photo (width, height), where memory allows it."""
        return best_side(size[1], size[0], self.side) if self._stretches and self.side else self.side


def smaller_side(side: int | None, size: tuple[int, int]) -> int | None:
    """Half of a side that was too large for memory, or of the picture; None at the smallest."""
    used = min(max(size), side or max(size))
    return None if used <= MIN_SIDE else max(MIN_SIDE, used // 2)


def _tile_side(tile: TileSide, runtime: Runtime) -> int | None:
    if tile == "off":
        return None
    side = AUTO_SIDE[runtime.device_type] if tile == "auto" else tile
    if tile == "auto" and isinstance(runtime, SeesWhole) and runtime.sees_whole:
        side *= 2
    if isinstance(side, bool) or not isinstance(side, int):
        raise UsageError(f"The side of tiles is 'auto', 'off' or a number of pixels, got {tile!r}.")
    plan_tiles(1, 1, side)  # refuse a bad side now, not at the first picture
    return side


def _pixel_bytes(photo: Photo) -> int:
    return photo.pixels.itemsize * (3 if photo.alpha is None else 4)

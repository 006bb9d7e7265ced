"""One pass over the tiles of a photo whose percepts are known.

Shapes: H x W pixels of the photo, h x w of a tile.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import OutputError
from clearair.image import Photo, to_depth
from clearair.memory import is_shortage
from clearair.percepts import Percepts
from clearair.runtime.protocol import RestoresSeveral, Runtime, SeesWhole
from clearair.similarity import changes_visibly
from clearair.tiling import Skipper, Window, blend_tiles, plan_tiles

OnTile = Callable[[int, int], None]
"""Called after each tile: tiles done, tiles in total."""

Floats = NDArray[np.float32]


class TileRun:
    """Restores a photo tile by tile, and counts what was done."""

    def __init__(
        self,
        runtime: Runtime,
        photo: Photo,
        percepts: Percepts,
        side: int | None,
        *,
        strength: float,
        keep_tone: bool,
        skip_tiles: bool,
        on_tile: OnTile | None,
    ) -> None:
        """`side` of the tiles in pixels, None for the photo as one; other options as in `Restorer`."""
        self.runtime = runtime
        self.photo = photo
        self.percepts = percepts
        self.strength = np.float32(strength)
        self.keep_tone = keep_tone
        self.on_tile = on_tile
        width, height = photo.size
        self.tiling = plan_tiles(height, width, side)
        self.done = self.left = 0
        self._neutral = is_neutral(photo.pixels)
        self._judgement = runtime.judge(photo.pixels, percepts)
        # A network that uses statistics of its whole input restores a probe differently from a tile.
        sees_whole = isinstance(runtime, SeesWhole) and runtime.sees_whole
        skips = skip_tiles and not sees_whole
        self._skipper = Skipper(self.tiling, self._change, changes_visibly) if skips else None
        self._at_once = runtime.tiles_at_once if isinstance(runtime, RestoresSeveral) else 1

    def run(self, output: NDArray[Any] | None = None) -> tuple[NDArray[Any], dict[str, Any]]:
        """(H, W, 3) of the photo's type, and what an `Outcome` says of it: changed, tiles, tiles_left.

        `output` is the array for it, which may be that of the photo: finished rows are not read again. Raises
        OutputError when the network returns NaN, and when memory runs out after rows of the photo itself were
        overwritten; MemoryError when it runs out otherwise.
        """
        pixels = self.photo.pixels
        if output is None:
            output = np.empty_like(pixels)
        changed, written = False, 0
        try:
            for top, rows in blend_tiles(self.tiling, self._restore):
                strip = slice(top, top + len(rows))
                # Last, so that what is left alone stays exact.
                rows += to_depth(pixels[strip], np.dtype(np.float32))
                finished = to_depth(rows, output.dtype)
                changed = changed or not np.array_equal(finished, pixels[strip])
                output[strip] = finished
                written = strip.stop
        except Exception as error:
            if written and output is pixels and is_shortage(error):
                raise OutputError(
                    f"{self.photo.name}: memory ran out while it was restored. Raise the memory budget or "
                    "close other programs."
                ) from error
            raise
        return output, {"changed": changed, "tiles": len(self.tiling), "tiles_left": self.left}

    def _change(self, window: Window, damaged: Floats) -> Floats:
        """What is added to a window (h, w, 3)."""
        restored = self.runtime.restore(
            damaged, self.percepts, self._judgement, window, keep_tone=self.keep_tone
        )
        return self._added(damaged, restored)

    def _changes(self, windows: Sequence[Window], damaged: Sequence[Floats]) -> Iterator[Floats]:
        """What is added to each of several windows (h, w, 3) of one size."""
        if len(windows) > 1 and isinstance(self.runtime, RestoresSeveral):
            several = self.runtime.restore_batch(
                np.stack(damaged), self.percepts, self._judgement, windows, keep_tone=self.keep_tone
            )
            yield from map(self._added, damaged, several)
        else:
            yield from map(self._change, windows, damaged)

    def _added(self, damaged: Floats, restored: Floats) -> Floats:
        if not np.isfinite(restored).all():
            raise OutputError(f"{self.photo.name}: the network returned NaN or infinity; nothing is written.")
        if self._neutral:  # a network adds faint colours, which a grey picture must not get
            restored = restored.mean(axis=-1, keepdims=True)
        added: Floats = self.strength * (restored.clip(0, 1) - damaged)
        return added

    def _restore(self, row: Sequence[Window]) -> Iterator[Floats]:
        """What is added to the tiles of a row, from left to right."""
        for _, alike in itertools.groupby(row, lambda window: window.width):
            for windows in _batched(alike, self._at_once):
                yield from self._restore_together(windows)

    def _restore_together(self, windows: Sequence[Window]) -> Iterator[Floats]:
        damaged = [to_depth(self.photo.pixels[each.slices], np.dtype(np.float32)) for each in windows]
        skipped = [
            self._skipper is not None and self._skipper.needs_nothing(window, pixels)
            for window, pixels in zip(windows, damaged, strict=True)
        ]
        needed = [index for index, skip in enumerate(skipped) if not skip]
        changes = self._changes([windows[index] for index in needed], [damaged[index] for index in needed])
        for window, pixels, skip in zip(windows, damaged, skipped, strict=True):
            if not skip:
                added = next(changes)
            elif self._skipper is not None and self._skipper.has_seen(window):  # since it was asked
                skip, added = False, self._change(window, pixels)
            else:
                added = np.zeros_like(pixels)
                self.left += 1
            if self._skipper is not None and not skip:
                self._skipper.learn(window, pixels, added)
            self.done += 1
            if self.on_tile:
                self.on_tile(self.done, len(self.tiling))
            yield added


def _batched(windows: Iterator[Window], size: int) -> Iterator[tuple[Window, ...]]:
    """As `itertools.batched` of Python 3.12."""
    while batch := tuple(itertools.islice(windows, size)):
        yield batch


def is_neutral(pixels: NDArray[Any]) -> bool:
    """Whether all pixels (H, W, 3) are grey, regardless of the file's type; read in strips."""
    strips = (pixels[top : top + 256] for top in range(0, len(pixels), 256))
    return all(np.array_equal(strip, np.broadcast_to(strip[..., :1], strip.shape)) for strip in strips)

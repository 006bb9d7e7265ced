"""One photo in memory: its pixels for the network, and everything needed to write it back."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import OutputError
from clearair.image.metadata import NOTHING, Metadata
from clearair.image.samples import Samples

Pixels = NDArray[Any]
"""uint8, uint16 or float32."""

DEPTHS = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))
"""The pixel types a photo can have."""


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright photo, with everything that restoration must preserve. Without a file, it needs only
    pixels."""

    pixels: Pixels
    """(H, W, 3) uint8, uint16 or float32 in [0, 1]: upright RGB as encoded in the photo's own colour profile.

    A grey photo has three equal channels.
    """
    alpha: Pixels | None = None
    """(H, W) of the same type, exactly as in the file; None = opaque."""
    grey: bool = False
    """Whether the file has one colour channel, as the result will."""
    format: str = "png"
    """Name of the source's format, a key of `clearair.image.FORMATS`."""
    name: str = "the picture"
    """Its name in messages, usually the path."""
    notes: tuple[str, ...] = ()
    """Remarks for the user: what was converted or left out while reading."""
    path: Path | None = None
    """The file it came from; never written to."""
    metadata: Metadata = NOTHING
    """Colour profile, EXIF, XMP and so on, as in the file."""
    bits: int = 8
    """Bits a channel in the file; 32 = float."""
    samples: Samples | None = None
    """What the file stores where that is not `pixels` themselves: other numbers, another range, no data."""
    frames: int = 1
    """How many frames or pages the file has, of which this is the first."""
    left_out: tuple[str, ...] = ()
    """Data of the file that no restored file can hold: a video, further pictures, a signature."""
    quality: int | None = None
    """The quality, 1 to 100, that a JPEG was written with; None where that cannot be told."""
    compression: str = ""
    """How the source was packed where that is kept: a TIFF scheme, or `lossless` for WebP."""
    content: bytes | None = None
    """The file itself where it came as bytes; None where it is at `path`."""
    stat: os.stat_result | None = None
    """Mode, times and size of the file at `path`, from before it was read."""
    whole: bool = True
    """Whether nothing was missing in the file; False for what was salvaged from a damaged one."""

    def __post_init__(self) -> None:
        height, width, channels = self.pixels.shape
        if channels != 3 or self.pixels.dtype not in DEPTHS:
            raise ValueError(f"expected (H, W, 3) uint8, uint16 or float32, got {_describe(self.pixels)}")
        if self.alpha is not None and (
            self.alpha.shape != (height, width) or self.alpha.dtype != self.pixels.dtype
        ):
            raise ValueError(f"alpha must fit pixels {_describe(self.pixels)}, got {_describe(self.alpha)}")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, upright."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def copied(self) -> Photo:
        """Return this photo with pixels and alpha of its own, which no array of a caller shares."""
        alpha = None if self.alpha is None else self.alpha.copy()
        return replace(self, pixels=self.pixels.copy(), alpha=alpha)

    def with_pixels(self, new: Pixels) -> Photo:
        """Return this photo with restored pixels; alpha, metadata and depth stay.

        `new` is (H, W, 3) of the photo's own type, or floats in [0, 1], which are clipped and rounded to it.
        A grey photo takes the mean of the three channels. Raises OutputError when `new` holds NaN or
        infinity, ValueError when its size or type does not fit.
        """
        if new.shape != self.pixels.shape:
            raise ValueError(f"{self.name}: expected pixels {_describe(self.pixels)}, got {_describe(new)}")
        if np.issubdtype(new.dtype, np.floating):
            if not np.isfinite(new).all():
                raise OutputError(f"{self.name}: the network returned NaN or infinity; nothing is written.")
        elif new.dtype != self.pixels.dtype:
            raise ValueError(f"{self.name}: expected pixels {_describe(self.pixels)}, got {_describe(new)}")
        pixels = to_depth(new, self.pixels.dtype)
        return replace(self, pixels=_greyed(pixels) if self.grey else pixels)


def to_depth(values: Pixels, depth: np.dtype[Any]) -> Pixels:
    """Convert between uint8, uint16 and floats in [0, 1], rounding to nearest and clipping; any shape.

    Same type in, same array out, except that floats are clipped to [0, 1].
    """
    if np.issubdtype(values.dtype, np.floating):
        clipped = np.clip(values, 0, 1)
        if np.issubdtype(depth, np.floating):
            return clipped.astype(depth, copy=False)
        # float64 for 16 bits: float32 cannot hold 65535 x + 0.5 exactly
        scale = np.iinfo(depth).max
        wide: Pixels = clipped.astype(np.float64 if scale > 255 else np.float32, copy=False)
        return (wide * scale + 0.5).astype(depth)
    if values.dtype == depth:
        return values
    top = np.iinfo(values.dtype).max
    if np.issubdtype(depth, np.floating):
        scaled: Pixels = (values / np.float32(top)).astype(depth, copy=False)
        return scaled
    if top == 255:
        repeated: Pixels = values.astype(depth) * depth.type(257)
        return repeated
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(depth)


def turn_upright(stored: Pixels, orientation: int) -> Pixels:
    """Turn (H, W) or (H, W, C) pixels, stored under an EXIF orientation (1 to 8), as they are viewed."""
    if orientation in (5, 7):
        stored = stored.swapaxes(0, 1)
    quarter_turns = {3: 2, 6: 3, 7: 2, 8: 1}.get(orientation, 0)
    turned = np.rot90(stored, quarter_turns)
    if orientation == 2:
        turned = turned[:, ::-1]
    if orientation == 4:
        turned = turned[::-1]
    return np.ascontiguousarray(turned)


def turn_stored(upright: Pixels, orientation: int) -> Pixels:
    """Undo `turn_upright`."""
    return turn_upright(upright, {6: 8, 8: 6}.get(orientation, orientation))


def _greyed(pixels: Pixels) -> Pixels:
    """Replace the three channels by their mean, equal channels by themselves exactly."""
    if np.issubdtype(pixels.dtype, np.floating):
        # float64, as (x + x + x) / 3 may not be x in float32
        mean = pixels.mean(axis=2, dtype=np.float64, keepdims=True)
    else:
        mean = (pixels.sum(axis=2, dtype=np.uint32, keepdims=True) + 1) // 3
    return np.repeat(mean.astype(pixels.dtype), 3, axis=2)


def _describe(array: Pixels) -> str:
    return f"{array.shape} {array.dtype}"

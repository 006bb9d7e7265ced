"""Sizes and positions of the two views of an image, without PyTorch.

Shapes: H x W pixels of an image, R x C crops of S x S pixels.
"""

from __future__ import annotations

import math

STRIDE = 16
"""Sides of the far view are multiples of this, the stride of the far trunk."""
SAMPLE = 30_000
"""Approximate maximum of pixels that are sampled for the exposure."""
QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
EXPOSURE_DIM = 2 * 4 * len(QUANTILES)
"""E."""

BACKBONE_STRIDE = 32
"""Sides of what the recognizer's backbone sees are multiples of this, so that padding is the same at every
size."""
RECOGNIZER_PIXELS = 110_592
"""Most pixels of the recognizer's view of the whole picture (384 x 288)."""
RECOGNIZER_SIDE = 224
"""Side of a native crop, in pixels; of a smaller picture all of it."""
RECOGNIZER_CROPS = 4
"""Most native crops."""


def far_size(height: int, width: int, pixels: int, stride: int = STRIDE) -> tuple[int, int]:
    """Sides of the far view: multiples of `stride`, the image's aspect, about at most `pixels` in all."""
    scale = min(1.0, math.sqrt(pixels / (height * width)))
    # An extreme panorama keeps its long side below pixels / stride: its short one cannot shrink under that.
    longest = max(stride, pixels // stride // stride * stride)
    sides = (int(side * scale) // stride * stride for side in (height, width))
    far_height, far_width = (min(max(side, stride), longest) for side in sides)
    return far_height, far_width


def sample_step(height: int, width: int) -> int:
    """Stride of the pixels that are sampled for the exposure, down and across."""
    return math.ceil(math.sqrt(height * width / SAMPLE))


def near_grid(height: int, width: int, crops: int, spacing: int) -> tuple[int, int]:
    """Rows and columns of the near view: one crop per `spacing` pixels, at most `crops` in all."""
    rows, columns = max(1, height // spacing), max(1, width // spacing)
    if rows * columns > crops:
        rows = min(rows, max(1, round(math.sqrt(crops * height / width))))
        columns = min(columns, max(1, crops // rows))
        rows = min(rows, max(1, crops // columns))
    return rows, columns


def starts(length: int, side: int, count: int) -> list[int]:
    """Where `count` crops begin that lie evenly from end to end; one alone lies in the middle."""
    if count == 1:
        return [(length - side) // 2]
    return [round(index * (length - side) / (count - 1)) for index in range(count)]


def recognizer_crops(height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Sides of the recognizer's native crops, and their rows and columns.

    Sides are multiples of 32, no longer than those of the image unless it is smaller than 32.
    """
    whole = (max(BACKBONE_STRIDE, side // BACKBONE_STRIDE * BACKBONE_STRIDE) for side in (height, width))
    down, across = (min(RECOGNIZER_SIDE, side) for side in whole)
    return (down, across), near_grid(height, width, RECOGNIZER_CROPS, RECOGNIZER_SIDE)

"""Reduce arrays of pixels by averaging areas, without a floating-point copy of the whole picture.

Shapes: H x W pixels of a picture, h x w of the reduced one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def averaged(image: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Average areas, (H, W, 3) uint8, uint16 or float -> (h, w, 3) in [0, 1], row by row.

    The areas are those of adaptive average pooling: they overlap where a side grows. NaN counts as black,
    light beyond white as white.
    """
    height, width = image.shape[:2]
    left, right = _areas(width, size[1])
    reduced = np.empty((*size, 3), np.float32)
    sums = np.zeros((width + 1, 3), np.float64)
    for row, (top, bottom) in enumerate(zip(*_areas(height, size[0]), strict=True)):
        np.cumsum(_column_sums(image[top:bottom]), axis=0, out=sums[1:])
        area = (bottom - top) * (right - left)
        reduced[row] = (sums[right] - sums[left]) / area[:, None]
    if not np.issubdtype(image.dtype, np.floating):
        reduced /= np.float32(np.iinfo(image.dtype).max)
    return reduced


def _areas(length: int, parts: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Begin and end of each of the parts into which adaptive pooling divides a length."""
    index = np.arange(parts, dtype=np.int64)
    return index * length // parts, -(-(index + 1) * length // parts)


def _column_sums(strip: NDArray[Any]) -> NDArray[Any]:
    """(N, W, 3) -> (W, 3) sums over the rows."""
    if np.issubdtype(strip.dtype, np.floating):
        strip = np.clip(np.nan_to_num(strip.astype(np.float32), posinf=1.0, neginf=0.0), 0.0, 1.0)
        return np.asarray(strip.sum(axis=0, dtype=np.float64))
    # 257 rows of 8 bits fit into 16, which are added twice as fast as 32.
    narrow = strip.dtype == np.uint8 and len(strip) <= 257
    return np.asarray(strip.sum(axis=0, dtype=np.uint16 if narrow else np.uint32))

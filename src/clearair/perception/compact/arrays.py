"""The same two looks as in `views`, at a NumPy image: never with a floating-point copy of the whole picture.

Shapes: H x W pixels of the image, h x w of the far view, R x C crops of S x S pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearair.errors import ImageError
from clearair.perception.compact.views import STRIDE, far_size, near_crops, sample_step, starts


def check_image(image: NDArray[Any]) -> None:
    """Raises ImageError for another shape than (H, W, 3) or kind of numbers, or without pixels."""
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(f"A perceiver needs an RGB image (H, W, 3) with pixels; got shape {image.shape}.")
    if image.dtype not in (np.uint8, np.uint16) and not np.issubdtype(image.dtype, np.floating):
        raise ImageError(f"A perceiver needs uint8, uint16 or floating point pixels; got {image.dtype}.")


def as_tensor(image: NDArray[Any]) -> Tensor:
    """(H, W, 3) uint8, uint16 or float -> (1, 3, H, W) float in [0, 1]; NaN becomes black.

    Raises ImageError as `check_image` does.
    """
    check_image(image)
    if np.issubdtype(image.dtype, np.floating):
        pixels = np.clip(np.nan_to_num(image.astype(np.float32), posinf=1.0, neginf=0.0), 0.0, 1.0)
    else:
        pixels = image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]


def far_view_of(image: NDArray[Any], pixels: int, stride: int = STRIDE) -> Tensor:
    """Average areas, (H, W, 3) -> (1, 3, h, w) in [0, 1]: `far_view` of it, row by row."""
    height, width = image.shape[:2]
    far_height, far_width = far_size(height, width, pixels, stride)
    if (far_height, far_width) == (height, width):
        return as_tensor(image)
    left, right = _areas(width, far_width)
    view = np.empty((far_height, far_width, 3), np.float32)
    sums = np.zeros((width + 1, 3), np.float64)
    for row, (top, bottom) in enumerate(zip(*_areas(height, far_height), strict=True)):
        np.cumsum(_column_sums(image[top:bottom]), axis=0, out=sums[1:])
        area = (bottom - top) * (right - left)
        view[row] = (sums[right] - sums[left]) / area[:, None]
    if not np.issubdtype(image.dtype, np.floating):
        view /= np.float32(np.iinfo(image.dtype).max)
    return torch.from_numpy(np.ascontiguousarray(view.transpose(2, 0, 1)))[None]


def sample_of(image: NDArray[Any]) -> Tensor:
    """The pixels that are counted for the exposure, (H, W, 3) -> (1, 3, h, w) in [0, 1]: `sampled` of it."""
    step = sample_step(image.shape[0], image.shape[1])
    return as_tensor(image[::step, ::step])


def near_crops_of(image: NDArray[Any], side: int | tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Crops spread evenly, row by row, (H, W, 3) -> (1, R * C, 3, S, S) in [0, 1]: `near_crops` of it."""
    rows, columns = (side, side) if isinstance(side, int) else side
    height, width = image.shape[:2]
    # A picture this narrow has few pixels, or few columns: what is not near a crop is left out.
    tops = starts(max(height, rows), rows, grid[0])
    lefts = starts(max(width, columns), columns, grid[1])
    pieces = [as_tensor(image[top : top + rows, left : left + columns]) for top in tops for left in lefts]
    return torch.cat([near_crops(piece, side, (1, 1)) for piece in pieces], dim=1)


def enlarged(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(h, w) -> (H, W): each pixel takes the label whose area holds its centre."""
    rows, columns = (
        np.minimum(((np.arange(wide) + 0.5) * (narrow / wide)).astype(np.intp), narrow - 1)
        for narrow, wide in zip(labels.shape, size, strict=True)
    )
    large: NDArray[np.uint8] = labels[:, columns][rows]
    return large


def _areas(length: int, parts: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Begin and end of each of the parts into which adaptive pooling divides a length; they may overlap."""
    index = np.arange(parts, dtype=np.int64)
    return index * length // parts, -(-(index + 1) * length // parts)


def _column_sums(strip: NDArray[Any]) -> NDArray[Any]:
    """(N, W, 3) -> (W, 3) sums over the rows; NaN counts as black, and light beyond white as white."""
    if np.issubdtype(strip.dtype, np.floating):
        strip = np.clip(np.nan_to_num(strip.astype(np.float32), posinf=1.0, neginf=0.0), 0.0, 1.0)
        return np.asarray(strip.sum(axis=0, dtype=np.float64))
    # 257 rows of 8 bits fit into 16, which are added twice as fast as 32.
    narrow = strip.dtype == np.uint8 and len(strip) <= 257
    return np.asarray(strip.sum(axis=0, dtype=np.uint16 if narrow else np.uint32))

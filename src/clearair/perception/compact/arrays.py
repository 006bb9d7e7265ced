"""The two views of `views` for a NumPy image, without a floating-point copy of the whole picture.

Shapes: H x W pixels of the image, h x w of the far view, R x C crops of S x S pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ImageError
from clearair.image import to_depth
from clearair.perception.compact.geometry import STRIDE, far_size, sample_step, starts
from clearair.perception.evidence import BLOCK, CROP, CROPS, PIXELS, evidence
from clearair.pooling import averaged

Floats = NDArray[np.float32]


def check_image(image: NDArray[Any]) -> None:
    """Raises ImageError for another shape than (H, W, 3) or kind of numbers, or without pixels."""
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(f"A perceiver needs an RGB image (H, W, 3) with pixels; got shape {image.shape}.")
    if image.dtype not in (np.uint8, np.uint16) and not np.issubdtype(image.dtype, np.floating):
        raise ImageError(f"A perceiver needs uint8, uint16 or floating point pixels; got {image.dtype}.")


def as_bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8, uint16 or float in [0, 1] -> uint8, rounded; NaN becomes black.

    Raises ImageError as `check_image` does.
    """
    check_image(image)
    if np.issubdtype(image.dtype, np.floating):
        image = np.nan_to_num(image, posinf=1.0, neginf=0.0)
    return to_depth(image, np.dtype(np.uint8))


def as_planes(image: NDArray[Any]) -> Floats:
    """(H, W, 3) uint8, uint16 or float -> (1, 3, H, W) float32 in [0, 1]; NaN becomes black.

    Raises ImageError as `check_image` does.
    """
    check_image(image)
    if np.issubdtype(image.dtype, np.floating):
        pixels = np.clip(np.nan_to_num(image.astype(np.float32), posinf=1.0, neginf=0.0), 0.0, 1.0)
    else:
        pixels = image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]


def far_view_of(image: NDArray[Any], pixels: int, stride: int = STRIDE) -> Floats:
    """Average areas, (H, W, 3) -> (1, 3, h, w) in [0, 1]: `far_view` of it, row by row."""
    height, width = image.shape[:2]
    size = far_size(height, width, pixels, stride)
    if size == (height, width):
        return as_planes(image)
    return np.ascontiguousarray(averaged(image, size).transpose(2, 0, 1))[None]


def sample_of(image: NDArray[Any]) -> Floats:
    """The pixels that are counted for the exposure, (H, W, 3) -> (1, 3, h, w) in [0, 1]: `sampled` of it."""
    step = sample_step(image.shape[0], image.shape[1])
    return as_planes(image[::step, ::step])


def near_crops_of(image: NDArray[Any], side: int | tuple[int, int], grid: tuple[int, int]) -> Floats:
    """Crops spread evenly, row by row, (H, W, 3) -> (1, R * C, 3, S, S) in [0, 1]: `near_crops` of it."""
    rows, columns = (side, side) if isinstance(side, int) else side
    height, width = image.shape[:2]
    # Where the picture is smaller than a crop, the crop begins at 0 and `_filled` repeats its edges.
    tops = starts(max(height, rows), rows, grid[0])
    lefts = starts(max(width, columns), columns, grid[1])
    pieces = [as_planes(image[top : top + rows, left : left + columns]) for top in tops for left in lefts]
    return np.concatenate([_filled(piece, rows, columns) for piece in pieces])[None]


def evident_in(image: NDArray[Any], kinds: Sequence[str]) -> Floats:
    """(K,) how far each of these kinds of damage can be told from its absence in (H, W, 3), in [0, 1]."""
    reduced, sample = (
        view[0].transpose(1, 2, 0) for view in (far_view_of(image, PIXELS, BLOCK), sample_of(image))
    )
    return evidence(kinds, reduced, sample, near_crops_of(image, CROP, CROPS)[0])


def enlarged(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(h, w) -> (H, W): each pixel takes the label whose area holds its centre."""
    rows, columns = (
        np.minimum(((np.arange(wide) + 0.5) * (narrow / wide)).astype(np.intp), narrow - 1)
        for narrow, wide in zip(labels.shape, size, strict=True)
    )
    large: NDArray[np.uint8] = labels[:, columns][rows]
    return large


def _filled(piece: Floats, rows: int, columns: int) -> Floats:
    """(1, 3, h, w) -> (1, 3, rows, columns): a smaller one is repeated at its edges."""
    height, width = piece.shape[2:]
    if (height, width) == (rows, columns):
        return piece
    return np.pad(piece, ((0, 0), (0, 0), (0, rows - height), (0, columns - width)), mode="edge")

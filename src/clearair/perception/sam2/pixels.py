"""Images and points as SAM 2 takes them: a square of floats, whatever the shape of the image was.

Shapes: H x W pixels of the image, S = side of the square, P points.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from clearair.similarity import BT601

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def to_square(image: NDArray[np.uint8], side: int) -> Tensor:
    """(H, W, 3) uint8 -> (3, S, S) in [0, 1]; the resize is done in floats, as the reference does."""
    channels = [_resized(torch.from_numpy(np.ascontiguousarray(image[..., c])), side) for c in range(3)]
    return torch.stack(channels)


def _resized(channel: Tensor, side: int) -> Tensor:
    pixels = channel.float()[None, None] / 255
    size = (side, side)
    return F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)[0, 0]


def brighten(square: Tensor, dark: float, target: float) -> Tensor:
    """A dark image (3, S, S) in [0, 1] by the gamma that would bring its mean to `target`.

    Others, and black ones, stay as they are.
    """
    mean = float((square.mean(dim=(1, 2)) * square.new_tensor(BT601)).sum())
    if not 0 < mean < dark:
        return square
    return square.clamp_min(0) ** float(np.log(target) / np.log(mean))


def normalised(square: Tensor) -> Tensor:
    """(3, S, S) in [0, 1] -> with the mean and deviation of SAM 2's training images."""
    mean, std = (square.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    return (square - mean) / std


def point_grid(size: tuple[int, int], per_side: int) -> NDArray[np.float64]:
    """(P, 2) points x, y in pixels of an image (H, W): middles of equal cells, row by row."""
    steps = (np.arange(per_side) + 0.5) / per_side
    y, x = np.meshgrid(steps * size[0], steps * size[1], indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1)


def points_in_square(points: NDArray[Any], size: tuple[int, int], side: int) -> Tensor:
    """(P, 2) points x, y of an image (H, W) -> (P, 2) where they are in the square: each axis by itself."""
    return torch.from_numpy(points / np.array([size[1], size[0]]) * side).float()

"""Two looks at an image: the whole from afar, and small pieces from near; and how light is spread over it.

Haze, darkness and regions are seen from afar; noise, JPEG blocks and blur only at native resolution.
Both looks have a bounded size, so perceiving costs the same for 1 and for 50 megapixels.
Shapes: B images, H x W pixels, R x C crops of S x S pixels, E entries of the exposure.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.similarity import BT601

STRIDE = 16
"""Sides of the far view are multiples of this, the stride of the far trunk."""
SAMPLE = 30_000
"""About so many pixels at most are counted for the exposure."""
QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
EXPOSURE_DIM = 2 * 4 * len(QUANTILES)
"""E."""


def far_size(height: int, width: int, pixels: int, stride: int = STRIDE) -> tuple[int, int]:
    """Sides of the far view: multiples of `stride`, the image's aspect, about at most `pixels` in all."""
    scale = min(1.0, math.sqrt(pixels / (height * width)))
    # An extreme panorama keeps its long side below pixels / stride: its short one cannot shrink under that.
    longest = max(stride, pixels // stride // stride * stride)
    sides = (int(side * scale) // stride * stride for side in (height, width))
    far_height, far_width = (min(max(side, stride), longest) for side in sides)
    return far_height, far_width


def far_view(images: Tensor, pixels: int, stride: int = STRIDE) -> Tensor:
    """Average areas, (B, 3, H, W) -> (B, 3, h, w), so that noise fades and the scene stays."""
    size = far_size(images.shape[2], images.shape[3], pixels, stride)
    return images if size == images.shape[2:] else F.adaptive_avg_pool2d(images, size)


def sample_step(height: int, width: int) -> int:
    """Every how many rows and columns a pixel is counted for the exposure."""
    return math.ceil(math.sqrt(height * width / SAMPLE))


def sampled(images: Tensor) -> Tensor:
    """The pixels that are counted for the exposure: (B, 3, H, W) -> (B, 3, h, w)."""
    step = sample_step(images.shape[2], images.shape[3])
    return images[:, :, ::step, ::step]


def exposure(sample: Tensor) -> Tensor:
    """How light is spread, (B, 3, h, w) pixels in [0, 1] -> (B, E): quantiles, and their logarithms.

    Of luma, of the brightest and of the darkest channel (haze leaves none dark), and of what lies between
    them. Pixels are taken one by one and not averaged: the lamps of a night scene are small, and that they
    are bright tells it from one in too little light.
    """
    red, green, blue = sample.float().unbind(1)
    brightest, darkest = sample.amax(dim=1), sample.amin(dim=1)
    luma = BT601[0] * red + BT601[1] * green + BT601[2] * blue
    values = torch.stack([luma, brightest, darkest, brightest - darkest], dim=1).flatten(2)  # (B, 4, hw)
    levels = (values * 255).round().clamp(0, 255).long()
    counts = torch.zeros(*levels.shape[:2], 256, dtype=torch.float32, device=levels.device)
    counts.scatter_add_(2, levels, torch.ones_like(values, dtype=counts.dtype))
    below = counts.cumsum(2)[..., None] < counts.new_tensor(QUANTILES) * values.shape[2]  # (B, 4, 256, 9)
    quantiles = below.sum(dim=2).flatten(1) / 255
    return torch.cat([quantiles, (quantiles + 0.01).log()], dim=1)


def near_grid(height: int, width: int, crops: int, spacing: int) -> tuple[int, int]:
    """Rows and columns of the near view: one crop per `spacing` pixels, at most `crops` in all."""
    rows, columns = max(1, height // spacing), max(1, width // spacing)
    if rows * columns > crops:
        rows = min(rows, max(1, round(math.sqrt(crops * height / width))))
        columns = min(columns, max(1, crops // rows))
        rows = min(rows, max(1, crops // columns))
    return rows, columns


def near_crops(images: Tensor, side: int | tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Crops spread evenly over the image, row by row: (B, 3, H, W) -> (B, R * C, 3, S, S).

    `side` is S, or the height and width of crops that are not square. An image smaller than a crop is
    repeated at its edges.
    """
    rows, columns = (side, side) if isinstance(side, int) else side
    height, width = images.shape[2:]
    if height < rows or width < columns:
        # Replicate, because reflect padding fails on sides shorter than the pad.
        padding = (0, max(0, columns - width), 0, max(0, rows - height))
        return near_crops(F.pad(images, padding, mode="replicate"), side, grid)
    tops, lefts = starts(height, rows, grid[0]), starts(width, columns, grid[1])
    pieces = [images[:, :, top : top + rows, left : left + columns] for top in tops for left in lefts]
    return torch.stack(pieces, dim=1)


def starts(length: int, side: int, count: int) -> list[int]:
    """Where `count` crops begin that lie evenly from end to end; one alone lies in the middle."""
    if count == 1:
        return [(length - side) // 2]
    return [round(index * (length - side) / (count - 1)) for index in range(count)]

"""Two views of an image, the reduced whole and native-resolution crops, and its distribution of light.

Haze, darkness and regions are visible in the reduced view; noise, JPEG blocks and blur only at native
resolution. Both views have a bounded size, so perceiving costs the same for 1 and for 50 megapixels. Shapes:
B images, H x W pixels, R x C crops of S x S pixels, E entries of the exposure.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.perception.compact.geometry import QUANTILES, STRIDE, far_size, sample_step, starts
from clearair.similarity import BT601


def far_view(images: Tensor, pixels: int, stride: int = STRIDE) -> Tensor:
    """Average areas, (B, 3, H, W) -> (B, 3, h, w), so that noise fades and the scene stays."""
    size = far_size(images.shape[2], images.shape[3], pixels, stride)
    return images if size == images.shape[2:] else F.adaptive_avg_pool2d(images, size)


def sampled(images: Tensor) -> Tensor:
    """The pixels that are counted for the exposure: (B, 3, H, W) -> (B, 3, h, w)."""
    step = sample_step(images.shape[2], images.shape[3])
    return images[:, :, ::step, ::step]


def exposure(sample: Tensor) -> Tensor:
    """How light is spread, (B, 3, h, w) pixels in [0, 1] -> (B, E): quantiles, and their logarithms.

    Of luma, of the brightest and the darkest channel (haze leaves none dark), and of their difference. Pixels
    are sampled and not averaged: the lamps of a night scene are small, and their brightness distinguishes it
    from an underexposed scene.
    """
    red, green, blue = sample.float().unbind(1)
    brightest, darkest = sample.amax(dim=1), sample.amin(dim=1)
    luma = BT601[0] * red + BT601[1] * green + BT601[2] * blue
    values = torch.stack([luma, brightest, darkest, brightest - darkest], dim=1).flatten(2)  # (B, 4, hw)
    levels = (values * 255).round().clamp(0, 255).long()
    counts = torch.zeros(*levels.shape[:2], 256, dtype=torch.float32, device=levels.device)
    counts.scatter_add_(2, levels, torch.ones_like(values, dtype=counts.dtype))
    total = counts.sum(dim=2)[..., None, None]
    below = counts.cumsum(2)[..., None] < counts.new_tensor(QUANTILES) * total  # (B, 4, 256, 9)
    quantiles = below.sum(dim=2).flatten(1) / 255
    return torch.cat([quantiles, (quantiles + 0.01).log()], dim=1)


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

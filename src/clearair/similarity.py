"""How alike two images are: PSNR, SSIM, and the luma of BT.601, as every part of clearair uses them.

Shapes: B images, C channels, H x W pixels. PyTorch is not imported here: tensors bring their own methods.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Values = TypeVar("Values", bound=Any)
"""A NumPy array or a PyTorch tensor."""

BT601 = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luma."""
IDENTICAL = 100.0
"""PSNR in dB that two equal images count as, so that means stay finite."""


def decibels(squared_error: float, *, peak: float = 1.0, most: float = IDENTICAL) -> float:
    """Return the PSNR in dB of a mean squared error, at most `most`; `peak` is the largest pixel value."""
    if squared_error <= 0:
        return most
    return min(most, 10 * math.log10(peak**2 / squared_error))


def psnr_each(images: Tensor, references: Tensor, *, most: float = IDENTICAL) -> Tensor:
    """Return the PSNR of each image in dB, (B,): both (B, C, H, W) in [0, 1]; at most `most`."""
    error = (images - references).square().mean(dim=(1, 2, 3)).clamp_min(10 ** (-most / 10))
    return -10 * error.log10()


def structural_similarity(
    first: Values, second: Values, window: Callable[[Values], Values], *, peak: float = 1.0
) -> Values:
    """Return SSIM at each position (Wang et al., 2004), with K1 = 0.01 and K2 = 0.03.

    `window` averages the surroundings of each position. `peak` is the largest pixel value.
    """
    mean_first, mean_second = window(first), window(second)
    variance_first = window(first * first) - mean_first**2
    variance_second = window(second * second) - mean_second**2
    covariance = window(first * second) - mean_first * mean_second
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    luminance = (2 * mean_first * mean_second + c1) / (mean_first**2 + mean_second**2 + c1)
    structure = (2 * covariance + c2) / (variance_first + variance_second + c2)
    similarity: Values = luminance * structure
    return similarity


def luma(rgb: Tensor) -> Tensor:
    """Return luma with the scale of its input: (..., 3, H, W) -> (..., 1, H, W)."""
    red, green, blue = rgb[..., 0:1, :, :], rgb[..., 1:2, :, :], rgb[..., 2:3, :, :]
    return BT601[0] * red + BT601[1] * green + BT601[2] * blue

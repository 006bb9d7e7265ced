"""Full-reference metrics on 8-bit RGB images.

Shapes: H x W pixels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import DataError

Image = NDArray[np.uint8]

IDENTICAL = 100.0
"""PSNR in dB that two equal images count as, so that means stay finite."""


def psnr(image: Image, reference: Image) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels, at most `IDENTICAL`.

    Both (H, W, 3) uint8. Raises DataError when they differ in shape.
    """
    _check(image, reference)
    error = float(np.mean((image.astype(np.float64) - reference.astype(np.float64)) ** 2))
    if error == 0:
        return IDENTICAL
    return min(IDENTICAL, 10 * math.log10(255**2 / error))


def ssim(image: Image, reference: Image) -> float:
    """Structural similarity (Wang et al., 2004), mean over pixels and the three channels.

    Both (H, W, 3) uint8. Gaussian window of 11 x 11 and sigma 1.5, K1 = 0.01, K2 = 0.03, without the border
    that the window does not cover. Raises DataError when they differ in shape or are below 11 px.
    """
    _check(image, reference)
    if min(image.shape[:2]) < 11:
        raise DataError(f"SSIM needs images of at least 11 x 11 px, got {image.shape[1]} x {image.shape[0]}.")
    x, y = image.astype(np.float64), reference.astype(np.float64)
    mean_x, mean_y = _window(x), _window(y)
    var_x, var_y = _window(x * x) - mean_x**2, _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return float(np.mean(luminance * structure))


def _window(values: NDArray[Any]) -> NDArray[Any]:
    """Gaussian mean around each position that the window fits: (H, W, C) -> (H - 10, W - 10, C)."""
    kernel = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    kernel /= kernel.sum()
    height, width = values.shape[0] - 10, values.shape[1] - 10
    rows = sum(weight * values[index : index + height] for index, weight in enumerate(kernel))
    total: NDArray[Any] = sum(weight * rows[:, index : index + width] for index, weight in enumerate(kernel))
    return total


def _check(image: Image, reference: Image) -> None:
    if image.shape != reference.shape:
        raise DataError(f"Images of different shapes cannot be compared: {image.shape}, {reference.shape}.")

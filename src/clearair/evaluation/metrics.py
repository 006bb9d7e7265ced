"""Full-reference metrics on RGB images in 0..255.

Shapes: H x W pixels, C channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import DataError
from clearair.similarity import BT601, decibels, structural_similarity

Image = NDArray[np.uint8]
Values = NDArray[Any]
"""An image in 0..255 that need not be rounded to 8 bits: uint8 or floating point."""

WINDOW = 11
"""Side of the Gaussian window of SSIM in pixels."""


def psnr(image: Values, reference: Values) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels, at most `IDENTICAL`.

    Both (H, W, 3) or (H, W) in 0..255. Raises DataError when they differ in shape.
    """
    _check(image, reference)
    error = float(np.mean((image.astype(np.float64) - reference.astype(np.float64)) ** 2))
    return decibels(error, peak=255)


def ssim(image: Values, reference: Values) -> float:
    """Structural similarity (Wang et al., 2004), mean over pixels and channels.

    Both (H, W, 3) or (H, W) in 0..255. Gaussian window of 11 x 11 and sigma 1.5, K1 = 0.01, K2 = 0.03,
    population covariance, without the border of 5 px that the window does not cover. Raises DataError when
    they differ in shape or are below 11 px.
    """
    _check(image, reference)
    if min(image.shape[:2]) < WINDOW:
        raise DataError(f"SSIM needs images of at least 11 x 11 px, got {image.shape[1]} x {image.shape[0]}.")
    if image.ndim == 2:
        return _ssim_of_channel(image, reference)
    # One channel at a time: several copies of a whole picture in double precision add up.
    return float(np.mean([_ssim_of_channel(image[..., c], reference[..., c]) for c in range(image.shape[2])]))


def luma(image: Values) -> NDArray[np.float64]:
    """Y of BT.601 in 16..235, not rounded: (H, W, 3) in 0..255 -> (H, W). The Y of papers."""
    weights = np.round(219 * np.array(BT601), 3) / 255  # the decimals that papers give
    y: NDArray[np.float64] = image.astype(np.float64) @ weights + 16
    return y


def _ssim_of_channel(image: Values, reference: Values) -> float:
    x, y = image.astype(np.float64), reference.astype(np.float64)
    return float(np.mean(structural_similarity(x, y, _window, peak=255)))


def _window(values: Values) -> Values:
    """Gaussian mean around each position that the window fits: (H, W) -> (H - 10, W - 10)."""
    kernel = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    kernel /= kernel.sum()
    height, width = values.shape[0] - WINDOW + 1, values.shape[1] - WINDOW + 1
    rows = sum(weight * values[index : index + height] for index, weight in enumerate(kernel))
    total: Values = sum(weight * rows[:, index : index + width] for index, weight in enumerate(kernel))
    return total


def _check(image: Values, reference: Values) -> None:
    if image.shape != reference.shape:
        raise DataError(f"Images of different shapes cannot be compared: {image.shape}, {reference.shape}.")

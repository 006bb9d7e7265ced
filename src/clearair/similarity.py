"""Similarity of images: PSNR, SSIM, visibility of changes, and the luma of BT.601, defined in one place.

Shapes: B images, C channels, H x W pixels. PyTorch is not imported here: tensors bring their own methods.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Values = TypeVar("Values", bound=Any)
"""A NumPy array or a PyTorch tensor."""

BT601 = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luma."""
IDENTICAL = 100.0
"""PSNR in dB that two equal images count as, so that means stay finite."""

MOST_NOTICED = 0.001
"""Share of pixels that may change by more than the just noticeable difference without a visible change."""
MOST_FAINT = 0.25
"""Root mean square of a change, relative to the just noticeable difference, from which it counts as visible.
Changes that are invisible at single pixels add up over an area, for the eye and for the PSNR."""

AROUND = np.array(
    [[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 2, 0, 2, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]], np.float32
)
"""Weights of the 5 x 5 pixels around a pixel in its background; their sum is 32."""
_ACROSS = np.array(
    [[0, 0, 0, 0, 0], [1, 3, 8, 3, 1], [0, 0, 0, 0, 0], [-1, -3, -8, -3, -1], [0, 0, 0, 0, 0]], np.float32
)
_ASLANT = np.array(
    [[0, 0, 1, 0, 0], [0, 8, 3, 0, 0], [1, 3, 0, -3, -1], [0, 0, -3, -8, 0], [0, 0, -1, 0, 0]], np.float32
)
EDGES = np.stack([_ACROSS, _ACROSS.T, _ASLANT, _ASLANT[:, ::-1]])
"""(4, 5, 5): 16 times the gradient in each of four directions."""
_MIDDLE = 127.0
"""The background before which the smallest differences are seen."""


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


def luminance_adaptation(background: Values) -> Values:
    """f2 of Chou & Li, of backgrounds in 0..255, any shape: 20 for black, 3 for 127, 6 for white."""
    dark = 17 * (1 - (background.clip(0, _MIDDLE) / _MIDDLE) ** 0.5) + 3
    adapted: Values = dark + 3 / 128 * (background - _MIDDLE).clip(0)
    return adapted


def texture_masking(background: Values, gradient: Values) -> Values:
    """f1 of Chou & Li, of backgrounds and gradients in 0..255: nearly a ninth of the gradient."""
    masked: Values = gradient * (0.0001 * background + 0.115) + 0.5 - 0.01 * background
    return masked


def just_noticeable(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The least change of luma that can be seen at each pixel: (H, W, 3) in [0, 1] -> (H, W), 3/255 or more.

    What is around a pixel hides a change by its contrast, and by being dark or bright: the greater of both
    (Chou & Li, "A perceptually tuned subband image coder based on the measure of just-noticeable-distortion
    profile", IEEE Trans. Circuits and Systems for Video Technology 5(6), 1995). Their constants.
    """
    light = np.pad(255 * (image @ np.array(BT601, np.float32)), 2, mode="edge")
    background = _correlated(light, AROUND) / 32
    gradient = np.maximum.reduce([np.abs(_correlated(light, edge)) for edge in EDGES]) / 16
    masked, adapted = texture_masking(background, gradient), luminance_adaptation(background)
    threshold: NDArray[np.float32] = np.maximum(masked, adapted) / 255
    return threshold


def changes_visibly(image: NDArray[np.float32], added: NDArray[np.float32]) -> bool:
    """Whether a change of an image is visible, both (H, W, 3); the image in [0, 1].

    The channel that changes most counts as a change of luma of that size, which is stricter than the eye is.
    """
    change = np.abs(added).max(axis=2) / just_noticeable(image)
    return bool((change > 1).mean() > MOST_NOTICED or np.square(change).mean() > MOST_FAINT**2)


def _correlated(padded: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H + 4, W + 4), (5, 5) -> (H, W)."""
    height, width = padded.shape[0] - 4, padded.shape[1] - 4
    total = np.zeros((height, width), np.float32)
    for down, right in np.argwhere(kernel):
        total += kernel[down, right] * padded[down : down + height, right : right + width]
    return total

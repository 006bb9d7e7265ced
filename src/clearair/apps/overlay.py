"""A picture of what the region perceiver saw."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from clearair.image import Photo, to_depth

_OPACITY = 0.5


def draw_regions(pixels: NDArray[np.generic], labels: NDArray[np.uint8]) -> Photo:
    """Tint (H, W, 3) pixels by the label (H, W) of their region; label 0, no region, stays as it is."""
    # Steps of the golden ratio keep the hues of neighbouring labels apart, however many there are.
    hues = [colorsys.hsv_to_rgb(label * 0.618 % 1, 0.8, 1.0) for label in range(256)]
    palette = (255 * np.array(hues)).astype(np.uint16)
    plain = to_depth(pixels, np.dtype(np.uint8))
    tinted = plain * (1 - _OPACITY) + palette[labels] * _OPACITY
    return Photo(np.where((labels > 0)[..., None], tinted.astype(np.uint8), plain))

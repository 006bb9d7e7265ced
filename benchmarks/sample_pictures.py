"""Pictures for benchmarks: read, or made here.

What takes memory is imported when it is needed: some who import this measure their own.

Shapes: H x W pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clearair.image import read_photo, to_depth

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]


def read_pixels(path: Path) -> Pixels:
    """RGB of a file, (H, W, 3)."""
    return to_depth(read_photo(path).pixels, np.dtype(np.uint8))


def to_array(picture: Tensor) -> Pixels:
    """(3, H, W) uint8, or float in [0, 1], which is rounded -> (H, W, 3)."""
    from clearair.data.pixels import to_bytes

    pixels = to_bytes(picture) if picture.is_floating_point() else picture
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())


def noise(height: int, width: int) -> Pixels:
    """(H, W, 3) of random values, always the same."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def noisy_ramp(height: int, width: int, generator: np.random.Generator) -> Pixels:
    """(H, W, 3): brighter from left to right, with noise."""
    ramp = np.linspace(60, 190, width)[None, :, None] + np.zeros((height, 1, 3))
    return (ramp + generator.normal(0, 20, ramp.shape)).clip(0, 255).astype(np.uint8)


def noisy_astronaut(height: int, width: int) -> Pixels:
    """(H, W, 3): scikit-image's astronaut in this size, with noise."""
    import skimage.data
    from PIL import Image

    photo = Image.fromarray(skimage.data.astronaut()).resize((width, height), Image.Resampling.BICUBIC)
    added = np.random.default_rng(0).normal(0, 20, (height, width, 3))
    return (np.asarray(photo) + added).clip(0, 255).astype(np.uint8)

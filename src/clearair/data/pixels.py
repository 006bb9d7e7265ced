"""Pictures for training: read by libvips or, without it, by Pillow; made small; rounded to 8 bits."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.image import read_photo, to_depth
from clearair.image.libvips import libvips
from clearair.image.pillow import read_with_pillow

REDUCED = 400
"""Longer side in px of reduced photographs, as in messages and on web pages."""


def load_pixels(path: Path) -> Tensor:
    """A picture as (3, H, W) uint8, read by libvips or, where that is not installed, by Pillow.

    Raises ImageError.
    """
    pixels = read_photo(path).pixels if has_libvips() else read_with_pillow(path)
    pixels = to_depth(pixels, np.dtype(np.uint8))
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


@cache
def has_libvips() -> bool:
    """Whether pictures can be read by libvips; else Pillow reads them."""
    try:
        libvips()
    except (ImportError, OSError):  # pyvips, or the library that it opens
        return False
    return True


def reduced(pixels: Tensor, side: int = REDUCED) -> Tensor:
    """(3, H, W) uint8 -> the same, its longer side at most `side` pixels; itself if it is no larger."""
    factor = side / max(pixels.shape[1:])
    if factor >= 1:
        return pixels
    size = [max(1, round(length * factor)) for length in pixels.shape[1:]]
    small = F.interpolate(pixels[None].float(), size, mode="bilinear", antialias=True)
    return small[0].round_().clamp_(0, 255).to(torch.uint8)


def to_bytes(images: Tensor) -> Tensor:
    """Values in [0, 1], of any shape -> uint8, rounded."""
    return (images * 255).round().to(torch.uint8)


def quantized(images: Tensor) -> Tensor:
    """Values in [0, 1], of any shape -> the same, rounded to the 256 levels that a file can hold."""
    return (images * 255).round_().div_(255)

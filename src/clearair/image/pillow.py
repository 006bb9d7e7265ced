"""Pixels by way of Pillow, for machines that train and have no libvips; 8 bits, and no metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clearair.errors import ImageError
from clearair.image.photo import Pixels


def read_with_pillow(path: Path) -> Pixels:
    """A picture as (H, W, 3) uint8, upright. Raises ImageError, also when Pillow is missing."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise ImageError(f"{path}: neither pyvips nor Pillow is installed; pip install pillow.") from error
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise ImageError(f"{path}: has more than 8 bits, which only pyvips reads.")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: cannot be read ({error}).") from error

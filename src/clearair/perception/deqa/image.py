"""From a picture of any size to the square the vision tower looks at, to the bit as the reference does it.

A picture is padded to a square with CLIP's mean colour, the picture in the middle, and resized by Pillow in
8 bits. Shapes: H x W pixels of the picture, S x S of the square.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ImageError, ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
_PADDING = (122, 116, 104)
_STRIP = 512
"""Rows of the padded square that exist at a time."""


def pixel_values(image: NDArray[Any] | Image, side: int) -> NDArray[np.float32]:
    """One picture as the vision tower wants it, (3, side, side), normalised.

    Raises ImageError when it is not an RGB image.
    """
    square = np.asarray(_resized_square(_as_pillow(image), side))
    values = (square.astype(np.float64) * (1 / 255)).astype(np.float32)
    return np.ascontiguousarray(((values - _MEAN) / _STD).transpose(2, 0, 1))


def _as_pillow(image: NDArray[Any] | Image) -> Image:
    """An RGB image of 8 bits; brighter than 8 bits is rounded to them, never truncated."""
    try:
        from PIL import Image as Pillow
    except ImportError as error:
        raise ModelError("DeQA-Score needs Pillow: pip install 'clearair[deqa]'.") from error
    if isinstance(image, Pillow.Image):
        if 0 in image.size:
            raise ImageError(f"DeQA-Score needs an image with pixels; got {image.width} x {image.height}.")
        return image.convert("RGB")
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        found = f"shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"DeQA-Score needs an RGB image (H, W, 3) with pixels; got {found}.")
    if np.issubdtype(image.dtype, np.floating):
        image = np.rint(np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8)
    elif image.dtype == np.uint16:
        image = np.rint(image / 257).astype(np.uint8)
    elif image.dtype != np.uint8:
        raise ImageError(f"DeQA-Score needs uint8, uint16 or floating point pixels; got {image.dtype}.")
    return Pillow.fromarray(np.ascontiguousarray(image))


def _resized_square(image: Image, side: int) -> Image:
    """Pad to a square and resize it, (H, W) -> (side, side).

    Pillow resizes rows first and columns then, with 8 bits in between. Done here strip by strip, since
    the padded square of a panorama, 1:40, is forty times as large as the panorama.
    """
    from PIL import Image as Pillow

    longest = max(image.size)
    left, top = (longest - image.width) // 2, (longest - image.height) // 2
    narrow = Pillow.new("RGB", (side, longest), _PADDING)  # padding stays what it is when it is resized
    for start in range(0, image.height, _STRIP):
        stop = min(start + _STRIP, image.height)
        strip = Pillow.new("RGB", (longest, stop - start), _PADDING)
        strip.paste(image.crop((0, start, image.width, stop)), (left, 0))
        narrow.paste(strip.resize((side, stop - start), Pillow.Resampling.BICUBIC), (0, top + start))
    return narrow.resize((side, side), Pillow.Resampling.BICUBIC)

"""CLIP's view of a picture: the middle square, 224 x 224, as open_clip and torchvision make it.

Shapes: H x W pixels, S x S of them seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearair.errors import ModelError
from clearair.perception.compact.arrays import as_bytes

try:
    from PIL import Image
except ModuleNotFoundError as missing:
    raise ModelError("The perceiver 'daclip' needs Pillow: pip install 'clearair[daclip]'.") from missing

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
LONGEST = 64
"""Aspect up to which a strip is resized whole, as the reference does; of one pixel's height it would become
224 times as long."""


def to_picture(image: NDArray[Any] | Image.Image) -> Image.Image:
    """8-bit RGB from a PIL image, or from (H, W, 3) uint8, uint16 or float in [0, 1], rounded.

    Raises ImageError for another array.
    """
    if not isinstance(image, np.ndarray):
        return image if image.mode == "RGB" else image.convert("RGB")
    return Image.fromarray(np.ascontiguousarray(as_bytes(image)))


def seen_pixels(picture: Image.Image, side: int) -> Tensor:
    """RGB of any size -> (3, S, S) normalised pixels: shortest edge to S bicubic, then the middle."""
    picture = _middle_of_a_strip(picture)
    width, height = picture.size
    short = min(width, height)
    resized = (int(side * width / short), int(side * height / short))
    if resized != (width, height):
        picture = picture.resize(resized, Image.Resampling.BICUBIC)
    # Python's round, half to even, as in torchvision's centre crop.
    left, top = (round((length - side) / 2) for length in resized)
    seen = np.asarray(picture.crop((left, top, left + side, top + side)))
    pixels = torch.from_numpy(seen.transpose(2, 0, 1).copy()).float().div(255)
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def _middle_of_a_strip(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    longest = LONGEST * min(width, height)
    if max(width, height) <= longest:
        return picture
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return picture.crop((left, top, min(width, left + longest), min(height, top + longest)))

"""Images of libvips: made of pixels, and the fields that they have beside them."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearair.image.libvips import libvips
from clearair.image.metadata import Metadata
from clearair.image.photo import Pixels

DTYPES: dict[str, Any] = {
    "uchar": np.uint8, "ushort": np.uint16, "float": np.float32,
    "char": np.int8, "short": np.int16, "uint": np.uint32, "int": np.int32,
}  # fmt: skip
"""The types of pixels that are read and written, by libvips' names for them."""
_NAMES = {np.dtype(each).name: name for name, each in DTYPES.items()}


def as_image(pixels: Pixels) -> Any:
    """(H, W, 1 to 4) as an image of libvips."""
    height, width, bands = pixels.shape
    image = libvips().Image.new_from_memory(
        np.ascontiguousarray(pixels).data, width, height, bands, _NAMES[pixels.dtype.name]
    )
    colours = ("grey16", "rgb16") if pixels.dtype == np.uint16 else ("b-w", "srgb")
    return image.copy(interpretation=colours[0] if bands < 3 else colours[1])


def field(image: Any, name: str, default: Any) -> Any:
    """A field of a libvips image, or `default` where it has none of this name."""
    return image.get(name) if image.get_typeof(name) else default


def with_fields(image: Any, metadata: Metadata) -> Any:
    """A copy of a libvips image with what libvips is to write."""
    image = image.copy()
    for name, value in (
        ("icc-profile-data", metadata.icc),
        ("exif-data", b"Exif\0\0" + metadata.exif if metadata.exif else None),
        ("xmp-data", metadata.xmp),
    ):
        if value:
            image.set_type(libvips().GValue.blob_type, name, value)
    return image

"""Pictures as Python programs have them as photos, and photos as what they came from."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Union

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ImageError
from clearair.files import pil
from clearair.image import DEFAULT_MAX_PIXELS, Photo, read_photo, to_depth
from clearair.image.photo import turn_stored, turn_upright

if TYPE_CHECKING:
    from PIL.Image import Image

Picture = Union[Path, str, bytes, BinaryIO, Photo, NDArray[Any], "Image"]
"""A path, the bytes of a file, a binary file, what `read_photo` gives, an array or a PIL image."""

_TOLERANCE = 1e-3  # resizing leaves floats a little outside [0, 1]


@dataclass(frozen=True)
class Layout:
    """What a picture looked like before it became a photo; the default is a file."""

    dtype: np.dtype[Any] | None = None
    """None = that of the photo."""
    channel_axis: bool = False
    """A grey array had the shape (H, W, 1)."""
    pil: Any = None
    """The PIL image it came from, in the mode the result has."""


def as_photo(
    picture: Picture, *, max_pixels: int = DEFAULT_MAX_PIXELS, salvage: bool = False
) -> tuple[Photo, Layout]:
    """Read a picture, whatever it is given as, and say how to give it back.

    `picture` is a path, the bytes of a file, a binary file that is open for reading, a photo, a PIL image, or
    an array (H, W[, 1 to 4]). Raises ImageError when it is none of these, cannot be decoded, or has more than
    `max_pixels` (which are not counted in arrays, as these are in memory already).
    """
    if isinstance(picture, Photo):
        return picture, Layout()
    if isinstance(picture, str | os.PathLike):
        return read_photo(Path(picture), max_pixels=max_pixels, salvage=salvage), Layout()
    if isinstance(picture, bytes | bytearray | memoryview) or hasattr(picture, "read"):
        data, name = _content_of(picture)
        return read_photo(data, max_pixels=max_pixels, salvage=salvage, name=name), Layout()
    if isinstance(picture, np.ma.MaskedArray):
        raise ImageError("A masked array cannot keep its mask: fill it first, as with array.filled(0).")
    if isinstance(picture, np.ndarray):
        return _photo_of(picture), Layout(picture.dtype, picture.ndim == 3)
    if hasattr(picture, "convert") and hasattr(picture, "getbands"):
        return _from_pil(picture, max_pixels)
    kinds = "a path, the bytes of a file, a binary file, a PIL image or a NumPy array"
    raise ImageError(f"A picture is {kinds}, not {type(picture).__name__}.")


def from_photo(photo: Photo, layout: Layout) -> Any:
    """The pixels of a photo in the form described by `layout`."""
    colour = photo.pixels[..., :1] if photo.grey else photo.pixels
    bands = colour if photo.alpha is None else np.concatenate([colour, photo.alpha[..., None]], axis=2)
    if bands.shape[2] == 1 and not layout.channel_axis:
        bands = bands[..., 0]
    if layout.pil is not None:
        return pil.from_bands(turn_stored(bands, photo.metadata.orientation), photo.metadata, layout.pil)
    return np.ascontiguousarray(bands if layout.dtype is None else bands.astype(layout.dtype, copy=False))


def _content_of(source: Any) -> tuple[bytes, str]:
    """What is in a buffer or left in a binary file, and what messages call it."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "the picture"
    name = getattr(source, "name", None)
    try:
        data = source.read()
    except (OSError, ValueError, TypeError) as error:
        raise ImageError(f"The file of the picture cannot be read: {error}.") from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ImageError("The file of a picture is opened for bytes, as with open(path, 'rb').")
    return bytes(data), name if isinstance(name, str) else "the picture"


def _from_pil(image: Image, max_pixels: int) -> tuple[Photo, Layout]:
    _refuse_large(image.size, max_pixels)
    try:
        image.load()  # turns a TIFF upright, and then says that it is
        metadata = pil.metadata_of(image)
        plain = pil.in_plain_mode(image)
        array = turn_upright(np.asarray(plain), metadata.orientation)
    except (OSError, SyntaxError, EOFError, ValueError, AttributeError) as error:
        # What PIL raises when it decodes damaged files, or works on an image that was closed.
        raise ImageError(f"The PIL image cannot be decoded: {error}.") from error
    colour = plain.info.get("icc_profile")  # a conversion may have brought another one, or none
    photo = replace(_photo_of(array), format=pil.format_of(image), metadata=replace(metadata, icc=colour))
    return photo, Layout(pil=plain)


def _refuse_large(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise ImageError(f"{size[0]} x {size[1]} px are more than the limit of {max_pixels:,} pixels.")


def _photo_of(array: NDArray[Any]) -> Photo:
    bands = array[..., None] if array.ndim == 2 else array
    if bands.ndim != 3 or not 1 <= bands.shape[2] <= 4 or bands.size == 0:
        raise ImageError(f"An array must be (H, W) or (H, W, 1 to 4) with pixels; got shape {array.shape}.")
    bands = _in_photo_type(bands)
    has_alpha, grey = bands.shape[2] in (2, 4), bands.shape[2] < 3
    colour = bands[..., :1] if grey else bands[..., :3]
    return Photo(
        pixels=np.repeat(colour, 3, axis=2) if grey else np.ascontiguousarray(colour),
        alpha=np.ascontiguousarray(bands[..., -1]) if has_alpha else None,
        grey=grey,
        bits=8 * bands.dtype.itemsize,
    )


def _in_photo_type(bands: NDArray[Any]) -> NDArray[Any]:
    if bands.dtype.newbyteorder("=") in (np.uint8, np.uint16):
        return bands.astype(bands.dtype.newbyteorder("="), copy=False)
    if not np.issubdtype(bands.dtype, np.floating):
        raise ImageError(f"An array must be uint8, uint16 or float in [0, 1]; got {bands.dtype}.")
    low, high = float(bands.min()), float(bands.max())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # false for NaN too
        raise ImageError(f"Floats must lie in [0, 1], not {low:g} to {high:g}; divide 8-bit values by 255.")
    return to_depth(bands, np.dtype(np.float32))

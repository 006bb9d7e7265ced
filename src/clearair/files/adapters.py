"""Converts Python inputs to photos, and restored photos back to the type of the input."""

from __future__ import annotations

import io
import math
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Union

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ImageError
from clearair.files import pil
from clearair.image import DEFAULT_MAX_PIXELS, CheckSize, Photo, read_photo, to_depth
from clearair.image.limits import check_limit
from clearair.image.photo import turn_stored, turn_upright

if TYPE_CHECKING:
    from PIL.Image import Image

Picture = Union[Path, str, bytes, BinaryIO, Photo, NDArray[Any], "Image"]
"""A path, the bytes of a file, a binary file, what `read_photo` gives, an array or a PIL image."""

_NAMELESS = "the picture"
_TOLERANCE = 1e-3  # resizing leaves floats a little outside [0, 1]


@dataclass(frozen=True)
class Layout:
    """The form of a picture before it became a photo; the default is a file."""

    dtype: np.dtype[Any] | None = None
    """None = that of the photo."""
    channel_axis: bool = False
    """A grey array had the shape (H, W, 1)."""
    pil: Any = None
    """The PIL image it came from, in the mode the result has."""


def as_photo(
    picture: Picture,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    salvage: bool = False,
    check_size: CheckSize | None = None,
) -> tuple[Photo, Layout]:
    """Read a picture in any supported form, and return how to convert it back.

    `picture` is a path, the bytes of a file, a binary file that is open for reading, a photo, a PIL image, or
    an array (H, W[, 1 to 4]). Raises ImageError when it is none of these, cannot be decoded, or has more than
    `max_pixels` (which are not counted in arrays, as these are in memory already). `check_size` may refuse a
    file before it is decoded.
    """
    check_limit(max_pixels)
    reading: dict[str, Any] = {"max_pixels": max_pixels, "salvage": salvage, "check_size": check_size}
    if isinstance(picture, Photo):
        return picture, Layout()
    if isinstance(picture, str | os.PathLike):
        return read_photo(picture, **reading), Layout()
    if isinstance(picture, bytes | bytearray | memoryview):
        return read_photo(bytes(picture), name=_NAMELESS, **reading), Layout()
    if hasattr(picture, "read") and not isinstance(picture, type):
        return _from_file(picture, reading)
    if isinstance(picture, np.ma.MaskedArray):
        raise ImageError("A masked array cannot keep its mask: fill it first, as with array.filled(0).")
    if isinstance(picture, np.ndarray):
        return _photo_of(np.asarray(picture)), Layout(picture.dtype, picture.ndim == 3)
    if hasattr(picture, "convert") and hasattr(picture, "getbands") and not isinstance(picture, type):
        return _from_pil(picture, max_pixels)
    kinds = "a path, the bytes of a file, a binary file, a PIL image or a NumPy array"
    what = "None" if picture is None else type(picture).__name__
    raise ImageError(f"A picture is {kinds}, not {what}.")


def from_photo(photo: Photo, layout: Layout) -> Any:
    """The pixels of a photo in the form described by `layout`."""
    colour = photo.pixels[..., :1] if photo.grey else photo.pixels
    bands = colour if photo.alpha is None else np.concatenate([colour, photo.alpha[..., None]], axis=2)
    if bands.shape[2] == 1 and not layout.channel_axis:
        bands = bands[..., 0]
    if layout.pil is not None:
        return pil.from_bands(turn_stored(bands, photo.metadata.orientation), photo.metadata, layout.pil)
    return np.ascontiguousarray(bands if layout.dtype is None else bands.astype(layout.dtype, copy=False))


def _from_file(file: Any, reading: dict[str, Any]) -> tuple[Photo, Layout]:
    name = getattr(file, "name", None)
    name = name if name and isinstance(name, str) else _NAMELESS
    photo = read_photo(_content_of(file, name), name=name, **reading)
    return replace(photo, path=_path_of(file)), Layout()


def _path_of(picture: Any) -> Path | None:
    """The file that an open file or a PIL image comes from; None where there is none of that name."""
    name = getattr(picture, "filename", None) or getattr(picture, "name", None)
    if not isinstance(name, str | os.PathLike):
        return None
    with suppress(OSError, ValueError):  # ValueError: a NUL in it
        return Path(name) if Path(name).is_file() else None
    return None


def _content_of(file: Any, name: str) -> bytes:
    """The remaining bytes of a binary file; `name` is used in messages."""
    if isinstance(file, io.TextIOBase):
        raise ImageError(f"{name}: is open as text; open it for bytes, as with open(path, 'rb').")
    if getattr(file, "closed", False):
        raise ImageError(f"{name}: its file is closed; read it while it is open.")
    try:
        data = file.read()
        at_end = not data and file.seekable() and file.tell() > 0
    except io.UnsupportedOperation as error:
        raise ImageError(f"{name}: is not open for reading; open it as with open(path, 'rb').") from error
    except Exception as error:  # whatever the class of a caller's file raises
        raise ImageError(f"{name}: cannot be read: {str(error).rstrip('.')}.") from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ImageError(f"{name}: its file gives no bytes; open it as with open(path, 'rb').")
    if at_end:
        raise ImageError(f"{name}: its file is read to the end already; go back with seek(0).")
    return bytes(data)


def _from_pil(image: Image, max_pixels: int) -> tuple[Photo, Layout]:
    _refuse_large(image.size, max_pixels)
    try:
        image.load()  # turns a TIFF upright and resets its orientation
        metadata = pil.metadata_of(image)
        plain = pil.in_plain_mode(image)
        array = turn_upright(np.asarray(plain), metadata.orientation)
    except (OSError, SyntaxError, EOFError, ValueError, AttributeError) as error:
        # PIL raises these for damaged files and for closed images.
        raise ImageError(f"The PIL image cannot be decoded: {str(error).rstrip('.')}.") from error
    colour = plain.info.get("icc_profile")  # a conversion may have changed or removed it
    photo = _photo_of(array)
    metadata = replace(metadata, icc=colour)
    photo = replace(photo, format=pil.format_of(image), metadata=metadata, path=_path_of(image))
    return photo, Layout(pil=plain)


def _refuse_large(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise ImageError(f"{size[0]} x {size[1]} px are more than the limit of {max_pixels:,} pixels.")


def _photo_of(array: NDArray[Any]) -> Photo:
    bands = array[..., None] if array.ndim == 2 else array
    if bands.ndim != 3 or not 1 <= bands.shape[2] <= 4 or bands.size == 0:
        first = array.ndim == 3 and 1 <= array.shape[0] <= 4
        hint = " Put its channels last, as with np.moveaxis(array, 0, -1)." if first else ""
        raise ImageError(
            f"An array must be (H, W) or (H, W, 1 to 4) with pixels; got shape {array.shape}.{hint}"
        )
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
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ImageError("The array holds NaN or infinity; fill these first, as with np.nan_to_num(array).")
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        eight = "; divide 8-bit values by 255" if low >= 0 and 1.5 < high <= 255 else ""
        raise ImageError(f"Floats must lie in [0, 1], not {low:g} to {high:g}{eight}.")
    return to_depth(bands, np.dtype(np.float32))

"""Arrays and PIL images as photos, and photos as what they came from."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ImageError
from clearair.image import DEFAULT_MAX_PIXELS, Photo, to_depth

if TYPE_CHECKING:
    from PIL.Image import Image

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


def as_photo(picture: NDArray[Any] | Image, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> tuple[Photo, Layout]:
    """An array (H, W[, 1 to 4]) or PIL image as a photo.

    Raises ImageError when it is neither, cannot be decoded or has more than `max_pixels`.
    """
    if isinstance(picture, np.ndarray):
        return _photo_of(picture), Layout(picture.dtype, picture.ndim == 3)
    if hasattr(picture, "convert") and hasattr(picture, "getbands"):
        width, height = picture.size
        if width * height > max_pixels:
            raise ImageError(f"{width} x {height} px are more than the limit of {max_pixels:,} pixels.")
        try:
            plain = _in_plain_mode(picture)
            array = np.asarray(plain)
        except (OSError, SyntaxError, EOFError) as error:  # what PIL raises when it decodes damaged files
            raise ImageError(f"The PIL image cannot be decoded: {error}.") from error
        return _photo_of(array), Layout(pil=plain)
    raise ImageError(f"A picture is a path, a PIL image or a NumPy array, not {type(picture).__name__}.")


def from_photo(photo: Photo, layout: Layout) -> Any:
    """The pixels of a photo in the form described by `layout`."""
    colour = photo.pixels[..., :1] if photo.grey else photo.pixels
    bands = colour if photo.alpha is None else np.concatenate([colour, photo.alpha[..., None]], axis=2)
    if bands.shape[2] == 1 and not layout.channel_axis:
        bands = bands[..., 0]
    if layout.pil is not None:
        from PIL import Image

        image = Image.fromarray(np.ascontiguousarray(bands))
        image.info = dict(layout.pil.info)
        return image
    return np.ascontiguousarray(bands if layout.dtype is None else bands.astype(layout.dtype, copy=False))


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


def _in_plain_mode(image: Image) -> Image:
    """RGB, RGBA, L, LA or 16-bit grey with the same content; what `info` says of the pixels still holds."""
    if "transparency" in image.info and image.mode in ("1", "L", "RGB", "P"):
        plain = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
        plain.info.pop("transparency", None)
        return plain
    if image.mode in ("RGB", "RGBA", "L", "LA", "I;16"):
        return image
    if image.mode == "I;16B":
        return image.convert("I;16")
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.mode == "PA" else "RGB")
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        return _in_srgb(image) if image.mode in ("CMYK", "LAB") else image.convert("RGB")
    raise ImageError(f"PIL mode {image.mode!r} cannot be restored; convert it to RGB or L first.")


def _in_srgb(image: Image) -> Image:
    """By its profile where it has one that fits; a profile of other colours must not stay with RGB pixels."""
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else None
        converted: Any = source and ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        converted = None
    if converted is not None:
        converted.info = {**image.info, "icc_profile": srgb.tobytes()}
        return converted  # type: ignore[no-any-return]
    plain = image.convert("RGB")
    plain.info.pop("icc_profile", None)
    return plain

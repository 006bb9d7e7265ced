"""Arrays and PIL images as photos, and photos as what they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ImageError
from clearair.image import Photo, to_depth

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
    """The PIL image it came from."""


def as_photo(picture: NDArray[Any] | Image) -> tuple[Photo, Layout]:
    """An array (H, W[, 1 to 4]) or PIL image as a photo. Raises ImageError when it is neither."""
    if isinstance(picture, np.ndarray):
        return _photo_of(picture), Layout(picture.dtype, picture.ndim == 3)
    if hasattr(picture, "convert") and hasattr(picture, "getbands"):
        return _photo_of(np.asarray(_in_plain_mode(picture))), Layout(pil=picture)
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
    if bands.dtype in (np.uint8, np.uint16):
        return bands
    if not np.issubdtype(bands.dtype, np.floating):
        raise ImageError(f"An array must be uint8, uint16 or float in [0, 1]; got {bands.dtype}.")
    low, high = float(bands.min()), float(bands.max())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):  # false for NaN too
        raise ImageError(f"Floats must lie in [0, 1], not {low:g} to {high:g}; divide 8-bit values by 255.")
    return to_depth(bands, np.dtype(np.float32))


def _in_plain_mode(image: Image) -> Image:
    """RGB, RGBA, L, LA or 16-bit grey with the same content."""
    if image.mode in ("RGB", "RGBA", "L", "LA", "I;16"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        return image.convert("RGB")
    raise ImageError(f"PIL mode {image.mode!r} cannot be restored; convert it to RGB or L first.")

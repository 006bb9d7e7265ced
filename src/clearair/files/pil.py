"""PIL images: pixels in a mode that photos support, and their metadata."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ImageError
from clearair.image import FORMATS, Metadata

if TYPE_CHECKING:
    from PIL.Image import Exif, Image

_HOW_STORED = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 280, 281, 284, 292, 293, 297, 317, 320, 322}
    | {323, 324, 325, 330, 332, 338, 339, 340, 341, 347, 512, 513, 514, 529, 530, 532, 700, 33723, 34377}
    | {34675}
)
"""Tags of a TIFF that describe the layout of its pixels, or hold other metadata."""
_MM = 25.4
"""Millimetres in an inch."""


def format_of(image: Image) -> str:
    """Name the format that an image was opened from, "png" when it was made otherwise."""
    name = (getattr(image, "format", None) or "").lower()
    name = {"mpo": "jpeg"}.get(name, name)
    return name if name in FORMATS else "png"


def metadata_of(image: Image) -> Metadata:
    """The profile, EXIF, XMP and resolution that an image carries."""
    info = image.info
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    return Metadata(
        icc=info.get("icc_profile") or None,
        exif=_exif_of(image),
        xmp=xmp.encode() if isinstance(xmp, str) else xmp or None,
        density=_density(info.get("dpi")),
    )


def from_bands(bands: NDArray[Any], metadata: Metadata, like: Image) -> Image:
    """An image of (H, W[, bands]) with what `like` carried; `metadata` gives its EXIF."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(bands))
    image.info = dict(like.info)
    if metadata.exif:
        image.info["exif"] = b"Exif\0\0" + metadata.exif
    return image


def _exif_of(image: Image) -> bytes | None:
    """EXIF as in the file, else as PIL writes the tags that it knows."""
    data = image.info.get("exif")
    if not isinstance(data, bytes):
        tags = _known_tags(image)
        for number in _HOW_STORED.intersection(tags):
            del tags[number]
        data = tags.tobytes() if tags else b""
    return data.removeprefix(b"Exif\0\0") or None


def _known_tags(image: Image) -> Exif:
    """A copy of the tags that PIL knows, as the image is the caller's."""
    from PIL.Image import Exif

    tags, known = Exif(), image.getexif()
    tags.load(known.tobytes() if known else b"")
    return tags


def _density(dpi: Any) -> tuple[float, float] | None:
    """Pixels per millimetre of what PIL calls dpi; None when it makes no sense."""
    try:
        across, down = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    # PIL reports 1 for files without a resolution.
    sensible = all(math.isfinite(value) and value > 1 for value in (across, down))
    return (across / _MM, down / _MM) if sensible else None


def in_plain_mode(image: Image) -> Image:
    """RGB, RGBA, L, LA or 16-bit grey with the same content; what `info` says of the pixels still holds."""
    if "transparency" in image.info and image.mode in ("1", "L", "RGB", "P"):
        plain = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
        plain.info.pop("transparency", None)
        return plain
    if image.mode in ("RGB", "RGBA", "L", "LA", "I;16"):
        return image
    if image.mode in ("I;16B", "I;16L", "I;16N"):
        return _in_16_bits(image)
    if image.mode in ("La", "RGBa"):  # whose colours are multiplied by their transparency
        return image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.mode == "PA" else "RGB")
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        return _in_srgb(image) if image.mode in ("CMYK", "LAB") else image.convert("RGB")
    ways = "give the path of its file, or convert it to RGB or L first"
    if image.mode in ("I", "F"):  # which PIL does not scale, but cut off at 255
        ways = "give the path of its file, or an array of uint16 or of floats in [0, 1]"
    raise ImageError(f"PIL mode {image.mode!r} cannot be restored; {ways}.")


def _in_16_bits(image: Image) -> Image:
    """16-bit grey in the order of bytes that PIL itself uses."""
    from PIL import Image

    plain = Image.fromarray(np.asarray(image).astype(np.uint16))  # convert cuts off at 255
    plain.info = dict(image.info)
    return plain


def _in_srgb(image: Image) -> Image:
    """Convert to RGB, by a fitting profile if there is one; profiles of other colour spaces are dropped."""
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

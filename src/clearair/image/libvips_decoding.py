"""Decodes the formats that libvips reads, and detects damaged files from its errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from clearair.errors import ClearAirError, ImageError
from clearair.image import unread
from clearair.image.bands import split_bands
from clearair.image.libvips import (
    explain,
    forget_remarks,
    lacks_memory,
    libvips,
    no_room,
    quote,
    remarks,
    require_room,
)
from clearair.image.libvips_images import DTYPES, field
from clearair.image.limits import COPIES, refuse_large
from clearair.image.metadata import Metadata, avif, directories, inventory, jpeg, png, tiff, webp
from clearair.image.photo import Photo, Pixels, turn_upright
from clearair.image.sources import DamageError, PictureFile

_LOADERS = {"jpeg": "jpeg", "png": "png", "tiff": "tiff", "webp": "webp", "avif": "heif", "gif": "gif"}
_COMPLETED: dict[str, Callable[[Metadata, bytes], Metadata]] = {
    "jpeg": jpeg.completed,
    "png": png.completed,
    "tiff": tiff.completed,
    "webp": webp.completed,
}
_CONVERTED = ("lab", "labs", "labq", "xyz")
"""Colours that become sRGB of 16 bits."""


def decode(file: PictureFile, max_pixels: int, fail_on: str) -> Photo:
    """Decode a file; `fail_on` is what libvips treats as damage, "none" accepts whatever can be decoded.

    Raises DamageError, ImageError for unsupported files, and OutOfMemoryError.
    """
    data, kind, name = file.data, file.kind, file.name
    image = _open_header(file, max_pixels, fail_on)
    metadata = _read_metadata(data, kind, image)
    left_out = inventory.unkept(data, kind, metadata)
    frames = _count_frames(data, kind, image)
    notes = (*_notes(image, kind, frames), *((f"left out: {', '.join(left_out)}",) if left_out else ()))
    if frames > 1:
        left_out = (f"{frames - 1} of {frames} {_frames_of(kind)}", *left_out)
    image, metadata, colour_notes = _in_rgb(image, metadata, name)
    stored = turn_upright(_decode_pixels(image, file, fail_on), metadata.orientation)
    bands = split_bands(stored, file, converted=bool(colour_notes))
    return Photo(
        pixels=bands.pixels,
        alpha=bands.alpha,
        grey=bands.grey,
        format=kind,
        name=name,
        notes=(*notes, *colour_notes, *bands.notes),
        path=file.path,
        metadata=metadata,
        bits=bands.samples.bits if bands.samples else _bits(image, bands.pixels.dtype),
        samples=bands.samples,
        frames=frames,
        left_out=left_out,
        quality=jpeg.quality(data) if kind == "jpeg" else None,
        compression=_compression(data, kind),
    )


def complaint(file: PictureFile, max_pixels: int) -> str | None:
    """Damage of a file according to its decoder, or None.

    Raises ImageError for unsupported files, and OutOfMemoryError.
    """
    forget_remarks()
    try:
        image = _open_header(file, max_pixels, "warning")
        image.avg()
        # Damage in the last rows is reported too late for an error.
        _refuse_remarks(file)
    except DamageError as error:
        return str(error)
    except libvips().Error as error:
        broken = _broken(file, error.detail)
        if not isinstance(broken, DamageError):
            raise broken from error
        return str(broken)
    return None


def _open_header(file: PictureFile, max_pixels: int, fail_on: str, page: int | None = None) -> Any:
    """Read the header only, and refuse oversized pictures before decoding."""
    data, kind, name = file.data, file.kind, file.name
    if kind == "avif":
        # GLib would print its own complaint about an absurd size; for other formats libvips looks first.
        refuse_large(*avif.announced_size(data), name, max_pixels)
    vips = libvips()
    options: dict[str, Any] = {} if page is None else {"page": page}
    try:
        if isinstance(data, directories.FileBytes):
            load, data = vips.Image.tiffload_source, vips.Source.new_from_descriptor(data.file.fileno())
        else:
            load = getattr(vips.Image, f"{_LOADERS[kind]}load_buffer")
        image = load(data, access="sequential", fail_on=fail_on, **options)
    except vips.Error as error:
        raise _broken(file, error.detail) from error
    refuse_large(image.width, image.height, name, max_pixels)
    sample_bytes = np.dtype(DTYPES.get(image.format, np.float64)).itemsize
    file.check(image.width, image.height, image.bands, sample_bytes)
    size = image.width * image.height * image.bands * sample_bytes
    require_room(COPIES * size, name, "decode")
    primary = field(image, "heif-primary", 0)
    if page is None and primary:
        return _open_header(file, max_pixels, fail_on, page=primary)
    return image


def _decode_pixels(image: Any, file: PictureFile, fail_on: str) -> Pixels:
    """Decode every pixel, (H, W, bands) as stored.

    Decoders continue after errors that lose a tile or a row, regardless of `fail_on`: so their errors are
    checked.
    """
    if image.format not in DTYPES:
        raise ImageError(
            f"{file.name}: {image.format} samples are not supported. Save it with 8 or 16 bits a channel."
        )
    try:
        memory = image.write_to_memory()
    except libvips().Error as error:
        raise _broken(file, error.detail) from error
    if fail_on != "none":
        _refuse_remarks(file)
        if file.kind == "tiff" and (part := tiff.damaged_part(file.data)):
            raise DamageError(f"{file.name}: the TIFF file is damaged (the checksum of its {part} is wrong)")
    stored = np.frombuffer(memory, DTYPES[image.format]).reshape(image.height, image.width, image.bands)
    return avif.in_full_range(stored, file.data) if file.kind == "avif" else stored


def _refuse_remarks(file: PictureFile) -> None:
    """Raise errors that the decoder reported but ignored."""
    if said := remarks():
        raise _broken(file, said)


def _broken(file: PictureFile, said: str) -> ClearAirError:
    """The error for a decoder's message."""
    if lacks_memory(said):
        return no_room(file.name, "decode")
    lacking = any(sign in said for sign in ("not configured", "not implemented"))
    if file.kind == "tiff" and (what := tiff.unsupported(file.data, lacks_codec=lacking)):
        return ImageError(f"{file.name}: {what} TIFF is not supported. Save it as a plain one first.")
    if file.kind == "jpeg" and (what := unread.jpeg_kind(file.data)):
        return ImageError(f"{file.name}: {what}, which is not read. Convert it to TIFF or PNG first.")
    return DamageError(f"{file.name}: the {file.kind.upper()} file is damaged or ends early{quote(said)}")


def _read_metadata(data: bytes, kind: str, image: Any) -> Metadata:
    def block(name: str) -> bytes | None:
        return bytes(field(image, name, b"")) or None

    metadata = Metadata(
        icc=block("icc-profile-data"),
        exif=(block("exif-data") or b"").removeprefix(b"Exif\0\0") or None,
        xmp=block("xmp-data"),
        density=(image.xres, image.yres) if image.get_typeof("resolution-unit") else None,
        iptc=block("iptc-data"),
        photoshop=block("photoshop-data"),
    )
    if kind in _COMPLETED:
        return _COMPLETED[kind](metadata, data)
    if kind == "avif":
        metadata = replace(metadata, colours=avif.colours(data))
    # The decoder has turned the pixels already, as HEIF keeps the turn outside EXIF.
    return metadata.upright()


def _in_rgb(image: Any, metadata: Metadata, name: str) -> tuple[Any, Metadata, tuple[str, ...]]:
    """Bring CMYK, Lab and XYZ to sRGB; RGB and grey stay in their own profile."""
    colours = str(image.interpretation)
    try:
        if colours == "cmyk":
            depth = 16 if image.format == "ushort" else 8
            image = image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=depth)
            profile = bytes(image.get("icc-profile-data"))
            return image, replace(metadata, icc=profile), ("CMYK was converted to sRGB",)
        if colours in _CONVERTED:
            image = image.colourspace("rgb16")
            space = "XYZ" if colours == "xyz" else "Lab"
            return image, replace(metadata, icc=None), (f"{space} was converted to sRGB with 16 bits",)
    except libvips().Error as error:
        raise ImageError(f"{name}: its colours cannot be converted to RGB{explain(error)}.") from error
    return image, metadata, ()


def _notes(image: Any, kind: str, frames: int) -> tuple[str, ...]:
    """List what is left out or stored differently."""
    notes: list[str] = []
    if frames > 1:
        notes.append(f"only the first of {frames} {_frames_of(kind)} is restored; the others are left out")
    bits = int(field(image, "bits-per-sample", 8))
    if field(image, "palette", 0) or (kind == "gif"):
        notes.append("palette colours are written as RGB")
    elif bits < 8 and image.format == "uchar":
        notes.append(f"{bits}-bit values are written as 8-bit")
    elif bits < 32 and image.format == "float" and str(image.interpretation) not in _CONVERTED:
        notes.append(f"{bits}-bit floats are written as 32-bit")
    return tuple(notes)


def _count_frames(data: bytes, kind: str, image: Any) -> int:
    count = {"png": png.count_frames, "avif": avif.count_frames}.get(kind)
    return count(data) if count else int(field(image, "n-pages", 1))


def _frames_of(kind: str) -> str:
    return "pages" if kind == "tiff" else "frames"


def _bits(image: Any, dtype: np.dtype[Any]) -> int:
    """Bits a channel: those of AVIF's 10 and 12 bits, else those of the pixel type."""
    announced = int(field(image, "bits-per-sample", 0))
    return announced if 8 < announced < 16 else dtype.itemsize * 8


def _compression(data: bytes, kind: str) -> str:
    if kind == "tiff":
        return tiff.compression(data)
    return "lossless" if kind == "webp" and webp.is_lossless(data) else ""

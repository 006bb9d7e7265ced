"""Decodes files to photos, each format by its decoder, and detects damage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clearair.errors import ImageError
from clearair.image import bmp, extras, formats, libvips_decoding
from clearair.image.bands import split_bands
from clearair.image.damage import jpeg as jpeg_damage
from clearair.image.libvips import forget_remarks, require_room
from clearair.image.limits import BYTES_A_PIXEL, COPIES, refuse_large
from clearair.image.metadata import Metadata, png
from clearair.image.photo import Photo
from clearair.image.sources import DamageError, PictureFile

_STRICT = {"tiff": "error", "gif": "warning"}
"""The `fail_on` setting of libvips for formats where "truncated" would ignore missing strips."""


def decode_whole(file: PictureFile, max_pixels: int) -> Photo:
    """Decode a complete file, ignoring harmless remarks of libjpeg on a JPEG.

    Raises DamageError, ImageError for unsupported files, and OutOfMemoryError.
    """
    forget_remarks()
    if file.kind != "jpeg":
        return _decode(file, max_pixels, _STRICT.get(file.kind, "truncated"))
    try:
        photo = _decode(file, max_pixels, "warning")
    except DamageError:
        photo = None

    def remark_on(data: bytes) -> str | None:
        return libvips_decoding.complaint(replace(file, data=data), max_pixels)

    if damage := jpeg_damage.find_damage(file.data, remark_on):
        known = damage.startswith(file.name)
        raise DamageError(damage if known else f"{file.name}: the JPEG file is damaged ({damage})")
    return photo or decode_remains(file, max_pixels)


def decode_remains(file: PictureFile, max_pixels: int) -> Photo:
    """Decode as much of a file as possible.

    Raises DamageError if nothing can be decoded, ImageError for unsupported files, and OutOfMemoryError.
    """
    return _decode(file, max_pixels, "none")


def _decode(file: PictureFile, max_pixels: int, fail_on: str) -> Photo:
    """Decode a file; `fail_on` is libvips' name for what counts as damage."""
    if fail_on != "none" and (damage := _damage(file.data, file.kind)):
        raise DamageError(f"{file.name}: the {file.kind.upper()} file is damaged ({damage})")
    if file.kind == "bmp":
        return _decode_bmp(file, max_pixels)
    if formats.FORMATS[file.kind].extra:
        return _decode_extra(file, max_pixels, fail_on)
    return libvips_decoding.decode(file, max_pixels, fail_on)


def _decode_bmp(file: PictureFile, max_pixels: int) -> Photo:
    """Windows bitmaps, which this build of libvips does not read."""
    try:
        header = bmp.read_header(file.data)
    except bmp.UnsupportedError as error:
        raise ImageError(f"{file.name}: {error}. Save it as PNG first.") from error
    if header is None:
        raise DamageError(f"{file.name}: the BMP file is damaged or ends early")
    refuse_large(header.width, header.height, file.name, max_pixels)
    file.check(header.width, header.height, 4, 1)
    bands = bmp.decode(file.data, header)
    if bands is None:
        raise DamageError(f"{file.name}: the BMP file is damaged or ends early")
    alpha = bands[..., 3] if bands.shape[2] == 4 else None
    return Photo(
        np.ascontiguousarray(bands[..., :3]),
        alpha=None if alpha is None else np.ascontiguousarray(alpha),
        format="bmp",
        name=file.name,
        path=file.path,
        metadata=Metadata(icc=bmp.embedded_profile(file.data), density=header.density),
    )


def _decode_extra(file: PictureFile, max_pixels: int, fail_on: str) -> Photo:
    """Decode a format that needs a separate library."""

    def check_size(width: int, height: int) -> None:
        refuse_large(width, height, file.name, max_pixels)
        file.check(width, height, 3, 2)
        require_room(COPIES * BYTES_A_PIXEL // 2 * width * height, file.name, "decode")

    try:
        decoded = extras.decode(file.kind, file.data, check_size)
    except extras.BrokenError as error:
        raise DamageError(
            f"{file.name}: the {file.kind.upper()} file is damaged, ends early or is of an unknown kind "
            f"({' '.join(str(error).split())[:120]})"
        ) from error
    if decoded.jpeg:
        inner = replace(file, data=decoded.jpeg, kind="jpeg")
        photo = decode_remains(inner, max_pixels) if fail_on == "none" else decode_whole(inner, max_pixels)
        return replace(photo, format=file.kind, metadata=photo.metadata.upright())
    bands = split_bands(decoded.stored, file, converted=False)
    left_out = (f"left out: {', '.join(decoded.left_out)}",) if decoded.left_out else ()
    return Photo(
        pixels=bands.pixels,
        alpha=bands.alpha,
        grey=bands.grey,
        format=file.kind,
        name=file.name,
        notes=(*decoded.notes, *left_out, *bands.notes),
        path=file.path,
        metadata=decoded.metadata,
        bits=bands.samples.bits if bands.samples else decoded.bits,
        samples=bands.samples,
        left_out=decoded.left_out,
    )


def _damage(data: bytes, kind: str) -> str | None:
    """Damage that libvips does not detect."""
    if kind == "png" and (chunk := png.damaged_chunk(data)):
        return f"the checksum of its {chunk} chunk is wrong"
    return None

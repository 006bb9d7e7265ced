"""Checks what a format can hold of a photo: reports losses and conversions, refuses serious ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearair.errors import OutputError
from clearair.image.converting import avif_bits, depth_for, keeps_samples, lacks_grey_profile, lacks_steps
from clearair.image.formats import FORMATS, output_format
from clearair.image.metadata import inventory, jpeg
from clearair.image.metadata.inventory import Inventory
from clearair.image.photo import Photo
from clearair.image.samples import describe_scaled

_WITH_CICP = ("png", "avif")


def losses(photo: Photo, format: str, *, strip_metadata: bool = False) -> tuple[str, ...]:
    """List what a file of this format cannot hold of `photo`, and what is converted for it."""
    notes = _range_remarks(photo, format)
    notes += _colour_remarks(photo, format)
    if not strip_metadata:
        too_long = jpeg.unfit(photo.metadata) if format == "jpeg" else ()
        notes += [f"{what} is too long for a JPEG and was left out" for what in too_long]
        if names := [name for name in _lost(photo, format) if name not in too_long]:
            notes.append(f"left out, as {format} has no place for it: {', '.join(names)}")
    return tuple(notes)


def holdings(photo: Photo, format: str | None = None, *, strip_metadata: bool = False) -> Inventory:
    """Name what the photo's file holds besides its pixels, and what a restored file will lack.

    What `strip_metadata` removes is neither kept nor named as left out, since that was requested.
    """
    kind = format or output_format(photo.format)
    held = inventory.held(photo.metadata.colour_only() if strip_metadata else photo.metadata, photo.format)
    lost = () if strip_metadata else _lost(photo, kind)
    kept = tuple(name for name in held if name not in lost)
    return Inventory(kept, tuple(dict.fromkeys([*photo.left_out, *lost])))


def refuse_unfit(photo: Photo, format: str, name: str) -> None:
    """Raise OutputError, calling the file `name`, when `format` cannot hold a picture like `photo`."""
    room = FORMATS[format].max_side
    if max(photo.size) > room:
        raise OutputError(
            f"{name}: {photo.size[0]} x {photo.size[1]} px, but a side in {format} has at most {room}; "
            "write it as png or tiff."
        )
    colours = photo.metadata.colours
    if colours and colours.unsayable and not photo.metadata.icc and format != photo.format:
        limited = colours.cicp is not None and not colours.cicp[3]
        if limited or format not in _WITH_CICP:
            ways = photo.format if limited else "png or avif"
            raise OutputError(f"{name}: {format} cannot state its {colours.unsayable}; write it as {ways}.")
    if not FORMATS[format].alpha and is_translucent(photo):
        raise OutputError(f"{name}: {format} cannot hold the picture's transparency; write it as png.")


def is_translucent(photo: Photo) -> bool:
    """Whether any of its pixels is not opaque."""
    return photo.alpha is not None and not (photo.alpha == _opaque(photo.alpha.dtype)).all()


def _lost(photo: Photo, kind: str) -> tuple[str, ...]:
    return inventory.lost(photo.metadata.for_new_pixels(), photo.format, kind)


def _range_remarks(photo: Photo, kind: str) -> list[str]:
    depth = depth_for(photo, kind)
    bits = avif_bits(photo, depth) if kind == "avif" else 8 * depth.itemsize
    if photo.samples:
        return (
            [] if keeps_samples(photo.samples, kind) else [*describe_scaled(photo.samples, (1 << bits) - 1)]
        )
    if photo.bits > bits or (photo.bits == 32 and kind != "tiff"):
        source = "float" if photo.pixels.dtype == np.float32 else f"{photo.bits}-bit"
        return [f"{source} values were rounded to {bits} bits, the most {kind} holds"]
    return []


def _colour_remarks(photo: Photo, kind: str) -> list[str]:
    if lacks_grey_profile(photo, kind):
        return [f"grey was converted from its colour profile to sRGB, as {kind} holds profiles of RGB alone"]
    if lacks_steps(photo, kind):
        return [f"linear values were converted to the curve of sRGB, as {kind} has too few bits for them"]
    return []


def _opaque(depth: np.dtype[Any]) -> float:
    return 1.0 if np.issubdtype(depth, np.floating) else np.iinfo(depth).max

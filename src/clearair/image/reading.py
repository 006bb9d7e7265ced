"""Reads a photo from a file or bytes: refuses damaged or oversized files, keeps the metadata."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from clearair.errors import ImageError, OutOfMemoryError, UsageError
from clearair.image.decoding import decode_remains, decode_whole
from clearair.image.libvips import alone, no_room, require_room
from clearair.image.limits import DEFAULT_MAX_PIXELS, CheckSize, check_limit
from clearair.image.photo import Photo
from clearair.image.sources import DamageError, PictureFile, fetch, opened
from clearair.stores import Address, Content, Place


def read_photo(
    source: Place | Content | str | bytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    name: str | None = None,
    salvage: bool = False,
    check_size: CheckSize | None = None,
) -> Photo:
    """Read and check the whole picture in `source`, a path, an object in a store or a file's content.

    `name` is what messages call it (default: the path). The decode is complete when this returns: a damaged
    file raises instead of giving grey pixels, unless `salvage` asks for what can be decoded of it, with a
    note. `check_size` may refuse a picture before it is decoded. Raises ImageError naming the file, what is
    wrong and what to do, and OutOfMemoryError where memory is too short for it.
    """
    check_limit(max_pixels)
    if isinstance(source, Address):
        source = fetch(source, max_pixels)
    if isinstance(source, Content):
        photo = read_photo(
            source.data,
            max_pixels=max_pixels,
            name=name or source.name,
            salvage=salvage,
            check_size=check_size,
        )
        return replace(photo, stat=source.facts.stat)
    if not isinstance(source, bytes | str | os.PathLike):
        raise UsageError(f"A picture file is a path or bytes, not {type(source).__name__}.")
    given = source if isinstance(source, bytes) else Path(source)
    if source == "":
        raise ImageError("The name of the picture is empty.")
    if isinstance(given, Path) and "\0" in str(given):
        raise ImageError(f"{str(given)!r}: a path cannot hold a NUL character.")
    name = name or (str(given) if isinstance(given, Path) else "standard input")
    stat = _stat(given)
    try:
        with opened(given, name, max_pixels, check_size) as file:
            require_room(0, name, "decode")
            with alone():
                photo = _read_or_salvage(file, max_pixels, salvage)
        return replace(photo, stat=stat, content=given if isinstance(given, bytes) else None)
    except OutOfMemoryError:
        raise
    except MemoryError as error:
        raise no_room(name, "decode") from error


def _stat(given: Path | bytes) -> os.stat_result | None:
    try:
        return given.stat() if isinstance(given, Path) else None
    except OSError:
        return None  # reading it will say why


def _read_or_salvage(file: PictureFile, max_pixels: int, salvage: bool) -> Photo:
    name = file.name
    try:
        return decode_whole(file, max_pixels)
    except DamageError as error:
        if not salvage:
            raise DamageError(
                f"{error}. Copy it again from its source, or restore what is left of it with salvage=True."
            ) from error
        damage = str(error).removeprefix(f"{name}: ")
    nothing = "Nothing of it can be decoded; copy it again from its source."
    try:
        photo = decode_remains(file, max_pixels)
    except DamageError as error:
        raise ImageError(f"{error}. {nothing}") from error
    if photo.pixels.min() == photo.pixels.max():
        raise ImageError(f"{name}: {damage}. {nothing}")
    notes = (f"{damage}; what could be decoded of it is restored", *photo.notes)
    return replace(photo, notes=notes, whole=False)

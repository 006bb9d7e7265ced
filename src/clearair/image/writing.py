"""Encodes a photo, as bytes or into a file or an object."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from clearair.errors import ExistsError, OutOfMemoryError, OutputError
from clearair.image.converting import as_stored
from clearair.image.encoding import encode, save_tiff
from clearair.image.fitting import losses, refuse_unfit
from clearair.image.forking import using_libvips
from clearair.image.formats import FORMATS, WRITABLE_SUFFIXES, format_of_suffix, output_format
from clearair.image.libvips import explain, libvips, no_room, require_room
from clearair.image.metadata import tiff
from clearair.image.photo import Photo
from clearair.image.quality import Quality, quality_for
from clearair.memory import is_shortage
from clearair.placing import exists, write_atomically
from clearair.stores import Address, Place, place_of

_COPIES = {"avif": 20}
"""Copies of a picture that codecs hold while they encode it; 3 if not listed."""
_LARGE = 64 << 20
"""A TIFF file of pictures of more bytes is written row by row."""


def write_photo(
    photo: Photo,
    target: Place | str,
    *,
    format: str | None = None,
    strip_metadata: bool = False,
    overwrite: bool = False,
    quality: Quality | None = None,
    preserve_times: bool = False,
    on_written: Callable[[Path], None] | None = None,
) -> tuple[str, ...]:
    """Write `photo` to `target`, a file or an object in a store; it appears whole or not at all.

    The format is `format`, else the one of target's suffix. Returns remarks on what that format cannot hold.
    The file gets the mode of the photo's own file, less what the umask withholds, and with `preserve_times`
    its time of modification. `on_written` is called with the complete file before it is renamed.
    Raises OutputError, naming the file, when it exists and `overwrite` is false, is the photo's own file,
    cannot be written, or its format cannot hold the photo.
    """
    target = place_of(target)
    if "\0" in str(target):
        raise OutputError("The name of the file to write holds a NUL character.")
    if target == Path():
        raise OutputError("The name of the file to write is empty or names a folder.")
    kind = format or format_of_suffix(target)
    if kind is None or not _is_writable(kind):
        suffixes = ", ".join(sorted(WRITABLE_SUFFIXES))
        raise OutputError(f"{target}: not a format that can be written; use {suffixes}.")
    check_target(photo, target, overwrite=overwrite)
    data: bytes | Callable[[Path], None]
    if kind == "tiff" and photo.pixels.nbytes > _LARGE:
        data = partial(_write_tiff, photo, strip_metadata=strip_metadata, name=str(target))
    else:
        data = encode_photo(photo, kind, strip_metadata=strip_metadata, quality=quality, name=str(target))
    write_atomically(
        target,
        data,
        overwrite=overwrite,
        like=photo.stat,
        preserve_times=preserve_times,
        on_written=on_written,
    )
    return losses(photo, kind, strip_metadata=strip_metadata)


def check_target(photo: Photo, target: Place, *, overwrite: bool = False) -> None:
    """Raise OutputError when `target` is the file that the photo came from, by whatever path, or is taken."""
    if isinstance(target, Address):
        return  # the store says itself that there is such an object, and whoever asks pays
    if photo.path is not None:
        same = os.path.realpath(photo.path) == os.path.realpath(target)
        with suppress(OSError):
            same = same or photo.path.samefile(target)
        if same:
            raise OutputError(
                f"{target}: is the input itself, which is never overwritten. Choose another name."
            )
    if not overwrite and exists(target):
        raise ExistsError(f"{target}: exists already; overwrite=True replaces it.")


def encode_photo(
    photo: Photo,
    format: str | None = None,
    *,
    strip_metadata: bool = False,
    quality: Quality | None = None,
    name: str | None = None,
) -> bytes:
    """Encode `photo` as the content of a file, by default in the format it came in.

    Where the format stays, the pixels are stored turned as in the source and EXIF keeps its orientation tag;
    where it changes or EXIF is stripped they are stored upright with tag 1, as viewers look for the tag in
    some formats only. Raises OutputError when the format cannot hold the photo, OutOfMemoryError where memory
    is too short for it; `name` is what the message calls it.
    """
    kind = format or output_format(photo.format)
    if not _is_writable(kind):
        raise OutputError(f"{name or photo.name}: {kind} cannot be written.")
    name = name or photo.name
    refuse_unfit(photo, kind, name)
    asked = quality_for(photo, kind, quality)
    with _encoding(kind, name):
        fitting, pixels, metadata = as_stored(photo, kind, strip_metadata)
        require_room(_COPIES.get(kind, 3) * pixels.nbytes, name, "encode")
        return encode(pixels, fitting, kind, metadata, asked)


def _write_tiff(photo: Photo, path: Path, *, strip_metadata: bool, name: str) -> None:
    """Write a TIFF file row by row: as a whole it may be as large as the picture."""
    refuse_unfit(photo, "tiff", name)
    with _encoding("tiff", name):
        fitting, pixels, metadata = as_stored(photo, "tiff", strip_metadata)
        save_tiff(path, pixels, fitting, metadata)
    with path.open("r+b") as file:
        tiff.add_metadata(file, metadata)


@contextmanager
def _encoding(kind: str, name: str) -> Iterator[None]:
    """Raise errors of this library where libvips fails."""
    try:
        with using_libvips():
            yield
    except OutOfMemoryError:
        raise
    except MemoryError as error:
        raise no_room(name, "encode") from error
    except libvips().Error as error:
        if is_shortage(error.detail):
            raise no_room(name, "encode") from error
        raise OutputError(f"{name}: cannot be encoded as {kind}{explain(error)}.") from error


def _is_writable(kind: str) -> bool:
    return kind in FORMATS and FORMATS[kind].writable

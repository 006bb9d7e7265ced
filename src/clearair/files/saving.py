"""Write a result: unchanged photos as the bytes of their input, everything else encoded."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from clearair.errors import OutputError, UsageError
from clearair.image import (
    Photo,
    Quality,
    check_target,
    encode_photo,
    format_of_suffix,
    losses,
    output_format,
    stripped,
    write_photo,
)
from clearair.placing import write_atomically
from clearair.stores import Place, place_of


def save(
    photo: Photo,
    target: Place,
    *,
    changed: bool = True,
    format: str | None = None,
    overwrite: bool = False,
    strip_metadata: bool = False,
    quality: Quality | None = None,
    preserve_times: bool = False,
    on_written: Callable[[Path], None] | None = None,
) -> tuple[str, ...]:
    """Write `photo` to a file, and return all remarks on it, also those from reading it.

    Where no pixel was `changed` and the format stays, the file is a copy of the input with its time of
    modification. With `strip_metadata` the pixels of an unchanged JPEG or PNG are not re-encoded. The format
    is `format`, else that of target's suffix. A picture that came with the suffix of another format, and
    keeps that suffix, is copied all the same. Raises OutputError as `write_photo`.
    """
    kind = format or format_of_suffix(target)
    misnamed = format is None and _is_misnamed(photo, kind)
    own = None if changed else _copy(photo, photo.format if misnamed else kind, strip_metadata)
    if own is None:
        lost = write_photo(
            photo,
            target,
            format=kind,
            strip_metadata=strip_metadata,
            overwrite=overwrite,
            quality=quality,
            preserve_times=preserve_times,
            on_written=on_written,
        )
        if misnamed:
            lost = (f"is {photo.format} by its content, but written as {kind}, as its name says", *lost)
        return (*photo.notes, *lost)
    check_target(photo, target, overwrite=overwrite)
    write_atomically(
        target,
        own,
        overwrite=overwrite,
        like=photo.stat,
        preserve_times=preserve_times or not strip_metadata,
        on_written=on_written,
    )
    return _copy_remarks(photo, strip_metadata)


def save_to(
    photo: Photo,
    file: BinaryIO,
    *,
    changed: bool = True,
    format: str | None = None,
    strip_metadata: bool = False,
    quality: Quality | None = None,
) -> tuple[str, ...]:
    """Write `photo` to an open binary file, as `save` does, by default in the format it came in.

    Raises OutputError when the format cannot hold it or the file is the photo's own, UsageError when the file
    takes no bytes.
    """
    _check_file(photo, file)
    kind = format or output_format(photo.format)
    own = None if changed else _copy(photo, kind, strip_metadata)
    data = own or encode_photo(photo, kind, strip_metadata=strip_metadata, quality=quality)
    try:
        file.write(data)
    except (AttributeError, TypeError, ValueError) as error:  # not open for writing, or no real file
        reason = "it is not open for writing" if str(error) == "write" else str(error).rstrip(".")
        raise UsageError(f"A result is saved to a binary file that is open for it: {reason}.") from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"{photo.name}: the result cannot be written: {error.strerror or error}."
        ) from error
    if own is not None:
        return _copy_remarks(photo, strip_metadata)
    return (*photo.notes, *losses(photo, kind, strip_metadata=strip_metadata))


def _is_misnamed(photo: Photo, kind: str | None) -> bool:
    """Whether the file of `photo` has the suffix of the format `kind`, and holds another one."""
    return kind is not None and photo.format != kind == format_of_suffix(place_of(photo.name))


def _check_file(photo: Photo, file: Any) -> None:
    """Refuse a target that takes no bytes, or is the input itself, before the picture is encoded."""
    if not hasattr(file, "write") or isinstance(file, type):
        what = "None" if file is None else type(file).__name__
        raise UsageError(f"A result is saved to a path or to a binary file that is open, not to {what}.")
    if isinstance(file, io.TextIOBase):
        raise UsageError("A result is saved to a binary file: open it as with open(path, 'wb').")
    if getattr(file, "closed", False):
        raise UsageError("The file for the result is closed: a binary file must be open while it is written.")
    name = getattr(file, "name", None)
    if photo.path is not None and isinstance(name, str | os.PathLike):
        check_target(photo, Path(name), overwrite=True)


def _copy(photo: Photo, format: str | None, strip_metadata: bool) -> bytes | None:
    """The file that `photo` came from, on demand without its metadata; None where it has to be encoded."""
    own = own_bytes(photo, format)
    return own if own is None or not strip_metadata else stripped(own, photo.format, photo.metadata)


def _copy_remarks(photo: Photo, strip_metadata: bool) -> tuple[str, ...]:
    """Remarks on a copy: complete copies lack nothing, stripped ones lack what a restored file does."""
    return (f"left out: {', '.join(photo.left_out)}",) if strip_metadata and photo.left_out else ()


def own_bytes(photo: Photo, format: str | None) -> bytes | None:
    """Return the file that `photo` came from, or None.

    None where it is of another format, was damaged, has changed since it was read, or there is no file.
    """
    if format != photo.format or not photo.whole:
        return None
    if photo.content is not None or photo.path is None or photo.stat is None:
        return photo.content
    try:
        with photo.path.open("rb") as file:
            data = file.read()
        now = photo.path.stat()
    except OSError:
        return None
    then = photo.stat
    same = (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)
    return data if same and len(data) == then.st_size else None

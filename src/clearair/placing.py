"""Atomic writes of files and objects, which replace nothing without permission."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from clearair.errors import ExistsError, OutputError, UsageError, brief
from clearair.stores import Address, Place, unnamed_file

PART_NAME = re.compile(r"\.[0-9a-f]{16}\.part(\.\w+)?")
"""Names of half-written files, which a killed process leaves behind."""


def part_name(suffix: str = "") -> str:
    """A new name under which a file is written before it gets its own, in the same folder."""
    return f".{secrets.token_hex(8)}.part{suffix}"


def check_path(path: Any, what: str) -> None:
    """Raise UsageError for anything but a path, for an empty name, and for one with a NUL character."""
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes):
        raise UsageError(f"The {what} is named by a str or a Path, not by {type(path).__name__}.")
    if not os.fspath(path) or "\0" in os.fspath(path):
        raise UsageError(f"The {what} needs a name without NUL characters, got {os.fspath(path)!r}.")


def check_makeable(folder: Path) -> None:
    """Raise OutputError for a folder that cannot be made or written to, before the work for it begins."""
    above = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    if not above.is_dir():
        raise OutputError(f"{folder}: the folder cannot be made: {above} is a file, not a folder.")
    if not os.access(above, os.W_OK):
        why = "read-only file system" if _is_read_only(above) else "permission denied"
        raise OutputError(f"{folder}: the folder cannot be written to: {why}.")


def _is_read_only(folder: Path) -> bool:
    """Whether a folder lies on a read-only file system."""
    return hasattr(os, "statvfs") and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def make_folder(folder: Place) -> None:
    """Make a folder and those above it; a store needs none. Raises OutputError."""
    if isinstance(folder, Address):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made: {error.strerror}.") from error


def exists(target: Place) -> bool:
    """Whether `target` exists; raises OutputError if that cannot be checked."""
    try:
        return target.exists()
    except OSError as error:
        why = error.strerror if isinstance(target, Address) else _reason(error)
        raise OutputError(f"{brief(str(target))}: cannot be written: {why}.") from error


def write_atomically(
    target: Place,
    data: bytes | Callable[[Path], None],
    *,
    overwrite: bool,
    like: os.stat_result | None = None,
    preserve_times: bool = False,
    on_written: Callable[[Path], None] | None = None,
) -> None:
    """Write `data`, which is bytes or a function that writes to a path, to `target` atomically.

    `like` gives it the mode of another file, minus the umask, from its first byte on, and with
    `preserve_times` that file's times. Without `overwrite`, a file that appeared meanwhile is left alone.
    `on_written` is called with the complete file before it is renamed.
    Raises ExistsError for that, OutputError naming the file when it cannot be written.
    """
    if isinstance(target, Address):
        _write_object(target, data, overwrite, on_written)
        return
    part = target.with_name(part_name())
    mode = 0o666 if like is None else like.st_mode & 0o777
    with _explained(target):
        try:
            with open(part, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as file:
                if isinstance(data, bytes | bytearray | memoryview):
                    file.write(data)
                    file.flush()
                else:
                    data(part)
                os.fsync(file.fileno())  # some file systems report a full disk only here
            if like is not None and preserve_times:
                os.utime(part, ns=(like.st_atime_ns, like.st_mtime_ns))
            if on_written is not None:
                on_written(part)
            _move(part, target, overwrite)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _write_object(
    target: Address,
    data: bytes | Callable[[Path], None],
    overwrite: bool,
    on_written: Callable[[Path], None] | None,
) -> None:
    with _explained(target), unnamed_file() as part:
        if callable(data):
            data(part)
        else:
            part.write_bytes(data)
        if on_written is not None:
            on_written(part)
        target.write(part, overwrite=overwrite)


def move_into_place(part: Path, target: Path, *, overwrite: bool) -> None:
    """Give a complete file in the same folder its name, which without `overwrite` must be free.

    Raises ExistsError where it is not, OutputError naming the file when it cannot be moved.
    """
    with _explained(target):
        _move(part, target, overwrite)


def _move(part: Path, target: Path, overwrite: bool) -> None:
    if overwrite:
        part.replace(target)
    else:
        _move_without_replacing(part, target)


def _move_without_replacing(part: Path, target: Path) -> None:
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:
        # No hard links on this file system (FAT, some network shares): claim the name, then replace it.
        target.open("xb").close()
        try:
            part.replace(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    else:
        part.unlink(missing_ok=True)


@contextmanager
def _explained(target: Place) -> Iterator[None]:
    """Raise ExistsError or OutputError, which name the target, for errors of the system and of stores."""
    try:
        yield
    except FileExistsError as error:
        raise ExistsError(f"{target}: exists already; overwrite=True replaces it.") from error
    except OSError as error:
        said_by_store = isinstance(target, Address) and error.errno != errno.ENOSPC
        why = error.strerror if said_by_store else _reason(error)
        raise OutputError(f"{target}: cannot be written: {why}.") from error


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    if error.errno == errno.ENOENT:
        return "its folder does not exist"
    return (error.strerror or str(error)).lower()

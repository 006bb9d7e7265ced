"""The source of a picture: the bytes of its file, and their format."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from clearair.errors import ImageError, brief
from clearair.image import extras, formats, unread
from clearair.image.limits import DEFAULT_MAX_PIXELS, CheckSize, refuse_long
from clearair.image.metadata import directories, tiff
from clearair.stores import Address, Content, is_address, resembles_address

_LARGE = 64 << 20
"""A TIFF file of more bytes is read piece by piece: it may be as large as its pixels."""


@dataclass(frozen=True)
class PictureFile:
    """The file of a picture, in memory unless it is a large TIFF."""

    data: bytes
    kind: str
    """Name of its format, a key of `FORMATS`."""
    name: str
    """Its name in messages."""
    path: Path | None
    check_size: CheckSize | None = None

    def check(self, width: int, height: int, bands: int, sample_bytes: int) -> None:
        """Check whether a picture of this size may be decoded; grey ones get three channels."""
        if self.check_size is not None:
            self.check_size(width, height, sample_bytes * (4 if bands in (2, 4) else 3))


class DamageError(ImageError):
    """A file is damaged or ends early; the message contains no advice yet."""


@contextmanager
def opened(
    source: Path | bytes, name: str, max_pixels: int, check_size: CheckSize | None
) -> Iterator[PictureFile]:
    """The file of a picture, whose format is known to be read here. Raises ImageError.

    `name` is what messages call it.
    """
    path = None if isinstance(source, bytes) else source
    data = source if isinstance(source, bytes) else _read_file(source, name, max_pixels)
    try:
        kind = _recognise(data, name, path)
        readable = tiff.readable(data) if kind == "tiff" else data
        yield PictureFile(readable, kind, name, path, check_size)
    finally:
        if isinstance(data, directories.FileBytes):
            data.file.close()


def fetch(address: Address, max_pixels: int = DEFAULT_MAX_PIXELS) -> Content:
    """An object as a picture within the pixel limit. Raises ImageError."""
    try:
        facts = address.facts()
        refuse_long(facts.size, str(address), max_pixels)
        return address.read(facts)
    except OSError as error:
        raise ImageError(f"{brief(str(address))}: cannot be read: {error.strerror or error}.") from error


def _read_file(path: Path, name: str, max_pixels: int) -> bytes:
    try:
        if path.is_dir():
            raise ImageError(f"{name}: a folder, not a picture.")
        if path.exists() and not path.is_file():
            raise ImageError(f"{name}: not a regular file; use `-` to read from standard input.")
        with path.open("rb") as file:
            head = file.read(formats.HEAD_BYTES)
            _recognise(head, name, path)
            size = os.fstat(file.fileno()).st_size
            refuse_long(size, name, max_pixels)
            if size > _LARGE and formats.sniff(head) == "tiff":
                return cast(bytes, directories.FileBytes(path.open("rb")))  # it is never read as a whole
            file.seek(0)
            return file.read()
    except FileNotFoundError as error:
        what = "a link to a file that is not there" if path.is_symlink() else "no such file"
        if is_address(name) or resembles_address(name):  # a path may have lost a slash of it
            what = "an address, not a file on this machine; download it, or give its path"
        raise ImageError(f"{brief(name)}: {what}.") from error
    except OSError as error:
        raise ImageError(f"{brief(name)}: cannot be read: {error.strerror or error}.") from error


def _recognise(data: bytes, name: str, path: Path | None) -> str:
    """Name the format of the file that starts with `data`."""
    head = data[: formats.HEAD_BYTES]
    if not head:
        raise ImageError(f"{name}: the file is empty.")
    kind = formats.sniff(head)
    if (path and path.suffix.lower() in formats.RAW_SUFFIXES) or (
        kind == "tiff" and tiff.is_camera_raw(data)
    ):
        kind = "raw"
    if kind is None:
        other = unread.describe(head)
        if other is None:
            raise ImageError(f"{name}: not a picture.")
        if "video" in other and other != "HEIF or video":
            raise ImageError(
                f"{name}: a video, not a picture; name it as an argument of `clearair restore`, with a "
                "suffix such as .mp4 or .mkv."
            )
        article = "an" if other[0] in "AEHIOX" and other != "HEIF or video" else "a"
        raise ImageError(
            f"{name}: {article} {other} file, which cannot be read. Save it as PNG, TIFF or JPEG first."
        )
    if hint := extras.install_hint(kind):
        what = {"raw": "camera raw", "heic": "HEIC", "jxl": "JPEG XL"}[kind]
        raise ImageError(f"{name}: a {what} file; {hint}. Or convert it to TIFF, PNG or JPEG first.")
    return kind

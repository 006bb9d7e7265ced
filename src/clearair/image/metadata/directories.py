"""The tag structure that TIFF files and EXIF blocks share (TIFF 6.0, section 2; BigTIFF).

Image libraries rewrite EXIF through their own model of it and lose private tags on the way. Here a block is
edited in place where that is enough (orientation, thumbnail), and copied tag by tag where its container
changes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

ORIENTATION = 274
EXIF_IFD = 34665
GPS_IFD = 34853
INTEROP_IFD = 40965
SUB_IFDS = (EXIF_IFD, GPS_IFD, INTEROP_IFD)

_TYPE_SIZE = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_SWAP_UNIT = {**_TYPE_SIZE, 5: 4, 10: 4}  # a rational is two 4-byte numbers
_MAX_ENTRIES = 4096
_PICTURES = 330
_LINKS = frozenset({13, 18})
"""Field types that hold places of directories."""
_LENGTHS = {273: 279, 324: 325, 513: 514}
"""Tags of the places of strips, of tiles and of a JPEG preview, and those of their lengths."""


class Bytes(Protocol):
    """Bytes in memory, or those of a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class FileBytes:
    """The bytes of an open file, each read when it is looked at."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._size = os.fstat(file.fileno()).st_size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice, /) -> bytes:
        start, stop, _ = part.indices(self._size)
        self.file.seek(start)
        return self.file.read(max(0, stop - start))


@dataclass(frozen=True)
class Tag:
    """One value of a directory."""

    kind: int
    """TIFF field type: 1 byte, 2 text, 3 short, 4 long, 5 rational, 7 opaque bytes, ..."""
    count: int
    data: bytes
    """`count` values, little-endian."""

    @classmethod
    def short(cls, *values: int) -> Tag:
        """16-bit unsigned integers."""
        return cls(3, len(values), struct.pack(f"<{len(values)}H", *values))

    @classmethod
    def rational(cls, value: float) -> Tag:
        """A positive number, to six decimals."""
        return cls(5, 1, struct.pack("<II", round(value * 1_000_000) & 0xFFFFFFFF, 1_000_000))

    @classmethod
    def opaque(cls, data: bytes, kind: int = 7) -> Tag:
        """Bytes of no further structure."""
        return cls(kind, len(data), data)

    def integers(self) -> tuple[int, ...]:
        """The values of a byte, short or long tag; empty for other kinds."""
        code = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(self.kind)
        return struct.unpack(f"<{self.count}{code}", self.data) if code else ()


@dataclass(frozen=True)
class Directory:
    """The tags of one image file directory, and the directories that some of them point to."""

    tags: Mapping[int, Tag] = field(default_factory=dict)
    children: Mapping[int, Directory] = field(default_factory=dict)
    """By the tag that points there: EXIF, GPS, interoperability."""


def read_directory(data: Bytes) -> Directory:
    """Read the first directory of a TIFF file or EXIF block; what is damaged is left out."""
    try:
        layout = _Layout.of(data)
        return _read(data, layout, layout.first(data), SUB_IFDS, depth=0)
    except (struct.error, ValueError):
        return Directory()


def extent(data: Bytes) -> int:
    """Return where the last of what the directories of a TIFF file refer to ends.

    That is the length of the file where it cannot be told, as in a damaged one.
    """
    try:
        layout = _Layout.of(data)
        return _extent(data, layout)
    except (struct.error, ValueError):
        return len(data)


def build_block(directory: Directory) -> bytes:
    """Write `directory` as a little-endian EXIF block."""
    body = bytearray(struct.pack("<2sHI", b"II", 42, 8))
    _append(body, directory)
    return bytes(body)


def orientation_block(orientation: int) -> bytes:
    """An EXIF block that states an orientation, 1 to 8, and nothing else."""
    return build_block(Directory({ORIENTATION: Tag.short(orientation)}))


def replace_first_directory(tiff: bytes, directory: Directory) -> bytes:
    """Append `directory` to a little-endian classic TIFF file and make it the first one.

    The pixels stay where they are, so the strip offsets among the tags remain true.
    """
    at, appended = _appendix(tiff, directory)
    body = bytearray(tiff)
    struct.pack_into("<I", body, 4, at)
    return bytes(body + appended)


def replace_first_directory_of(file: BinaryIO, directory: Directory) -> None:
    """Do the same to an open file, without reading its pixels."""
    at, appended = _appendix(FileBytes(file), directory)
    file.seek(0, os.SEEK_END)
    file.write(appended)
    file.seek(4)
    file.write(struct.pack("<I", at))


def _appendix(tiff: Bytes, directory: Directory) -> tuple[int, bytes]:
    """Where the directory will begin, and what is to be appended to the file."""
    if tiff[:4] != b"II*\x00":
        raise ValueError("expected a little-endian classic TIFF")
    body = bytearray(len(tiff) % 2)  # directories start at even offsets
    at = len(tiff) + len(body)
    _append(body, directory, len(tiff))
    return at, bytes(body)


def read_orientation(block: bytes) -> int:
    """Return the orientation tag of an EXIF block, 1 to 8; 1 when it is missing or makes no sense."""
    tag = read_directory(block).tags.get(ORIENTATION)
    values = tag.integers() if tag else ()
    return values[0] if values and 1 <= values[0] <= 8 else 1


def with_orientation(block: bytes, orientation: int) -> bytes:
    """Set the orientation tag where it stands; a block without one is returned as it is."""
    try:
        layout = _Layout.of(block)
        for at, number, kind, _ in _entries(block, layout, layout.first(block)):
            if number == ORIENTATION and kind in (3, 4):
                edited = bytearray(block)
                value_at = at + 4 + layout.count_size
                struct.pack_into(layout.order + ("H" if kind == 3 else "I"), edited, value_at, orientation)
                return bytes(edited)
    except (struct.error, ValueError):
        pass
    return block


def has_thumbnail(block: bytes) -> bool:
    """Whether an EXIF block has a second directory, which describes a thumbnail."""
    return without_thumbnail(block) != block


def without_thumbnail(block: bytes) -> bytes:
    """Unlink the second directory of an EXIF block, the thumbnail; no other byte moves.

    Maker notes hold absolute offsets, so nothing may be cut out.
    """
    try:
        layout = _Layout.of(block)
        if layout.big:
            return block
        start = layout.first(block)
        (count,) = _unpack(layout.order + "H", block, start)
        edited = bytearray(block)
        struct.pack_into(layout.order + "I", edited, start + 2 + 12 * count, 0)
        return bytes(edited)
    except (struct.error, ValueError):
        return block


@dataclass(frozen=True)
class _Layout:
    """Byte order and field widths of one file."""

    order: str
    big: bool

    @classmethod
    def of(cls, data: Bytes) -> _Layout:
        order = {b"II": "<", b"MM": ">"}.get(data[:2])
        if order is None:
            raise ValueError("no byte order mark")
        (magic,) = _unpack(order + "H", data, 2)
        if magic not in (42, 43):
            raise ValueError("not a TIFF structure")
        return cls(order, big=magic == 43)

    @property
    def count_size(self) -> int:
        return 8 if self.big else 4

    @property
    def word(self) -> str:
        return self.order + ("Q" if self.big else "I")

    def first(self, data: Bytes) -> int:
        return int(_unpack(self.word, data, 8 if self.big else 4)[0])


def _unpack(layout: str, data: Bytes, at: int) -> tuple[int, ...]:
    """What `struct` reads there; raises struct.error where the bytes end before."""
    return struct.unpack(layout, data[at : at + struct.calcsize(layout)])


def _entries(data: Bytes, layout: _Layout, start: int) -> Iterable[tuple[int, int, int, int]]:
    """(offset, tag number, type, count) of every entry of the directory at `start`."""
    if start > len(data):
        raise ValueError("directory beyond the end")
    head, size = ("Q", 20) if layout.big else ("H", 12)
    (entries,) = _unpack(layout.order + head, data, start)
    if entries > _MAX_ENTRIES:
        raise ValueError("implausibly long directory")
    for index in range(entries):
        at = start + struct.calcsize(layout.order + head) + size * index
        number, kind = _unpack(layout.order + "HH", data, at)
        (count,) = _unpack(layout.word, data, at + 4)
        yield at, number, kind, count


def _read(data: Bytes, layout: _Layout, start: int, pointers: tuple[int, ...], depth: int) -> Directory:
    tags: dict[int, Tag] = {}
    children: dict[int, Directory] = {}
    room = len(data)  # honest values do not overlap; this bounds what a forged directory can cost
    for at, number, kind, count in _entries(data, layout, start):
        size = _TYPE_SIZE.get(kind, 0) * count
        inline_at = at + 4 + layout.count_size
        value_at = inline_at
        if size > layout.count_size:
            (value_at,) = _unpack(layout.word, data, inline_at)
        raw = data[value_at : value_at + size] if size <= room else b""
        if not raw or len(raw) < size or number in children:
            continue
        room -= size
        tag = Tag(kind, count, _to_little_endian(raw, _SWAP_UNIT[kind]) if layout.order == ">" else raw)
        if number in pointers and depth < 2:
            try:
                children[number] = _read(data, layout, tag.integers()[0], pointers, depth + 1)
            except (struct.error, ValueError, IndexError):
                continue
        else:
            tags[number] = tag
    return Directory(tags, children)


def _extent(data: Bytes, layout: _Layout) -> int:
    """The same; raises struct.error or ValueError for a damaged file."""
    end, room = 0, len(data)  # as in `_read`
    waiting, seen = [(layout.first(data), True)], {0}
    while waiting:
        start, is_picture = waiting.pop()
        if start in seen:
            continue
        seen.add(start)
        values, reached, behind = _references(data, layout, start)
        room -= sum(8 * len(each) for each in values.values())
        if room < 0:
            raise ValueError("directories overlap")
        if is_picture:  # some writers leave out what follows the directories of EXIF
            waiting.append((_unpack(layout.word, data, behind)[0], True))
            behind += layout.count_size
        for number, places in values.items():
            if number in _LENGTHS:
                lengths = values.get(_LENGTHS[number], ())
                if len(lengths) != len(places) or not all(lengths):
                    raise ValueError("pieces of unknown length")
                reached = max(reached, *map(sum, zip(places, lengths, strict=True)))
            elif number not in _LENGTHS.values():
                waiting += [(at, number not in SUB_IFDS) for at in places]
        end = max(end, reached, behind)
    return end


def _references(data: Bytes, layout: _Layout, start: int) -> tuple[dict[int, tuple[int, ...]], int, int]:
    """Return the places and lengths that the directory at `start` states, by tag.

    Also the end of its last value, and the end of its entries.
    """
    values: dict[int, tuple[int, ...]] = {}
    reached, behind = 0, start + (8 if layout.big else 2)
    for at, number, kind, count in _entries(data, layout, start):
        inline_at = value_at = at + 4 + layout.count_size
        size = _TYPE_SIZE.get(kind, 0) * count
        if size > layout.count_size:
            (value_at,) = _unpack(layout.word, data, inline_at)
            reached = max(reached, value_at + size)
        behind = inline_at + layout.count_size
        if kind in _LINKS or number in (*SUB_IFDS, _PICTURES, *_LENGTHS, *_LENGTHS.values()):
            raw = data[value_at : value_at + size]
            if len(raw) < size or not size:
                raise ValueError("values beyond the end")
            raw = _to_little_endian(raw, _TYPE_SIZE[kind]) if layout.order == ">" else raw
            values[number] = Tag(kind, count, raw).integers()
    return values, reached, behind


def _to_little_endian(raw: bytes, unit: int) -> bytes:
    if unit == 1:
        return raw
    return b"".join(raw[at : at + unit][::-1] for at in range(0, len(raw), unit))


def _append(body: bytearray, directory: Directory, before: int = 0) -> None:
    """Append a directory, then its long values, then the directories it points to.

    `before` are the bytes of the file that `body` follows.
    """
    numbers = sorted({*directory.tags, *directory.children})
    start = len(body)
    body += struct.pack("<H", len(numbers)) + bytes(12 * len(numbers) + 4)
    for index, number in enumerate(numbers):
        if number in directory.children:
            _pad(body, before)
            kind, count, value = 4, 1, struct.pack("<I", before + len(body))
            _append(body, directory.children[number], before)
        else:
            tag = directory.tags[number]
            kind, count, value = tag.kind, tag.count, tag.data
            if len(value) > 4:
                _pad(body, before)
                offset = before + len(body)
                body += value
                value = struct.pack("<I", offset)
        struct.pack_into("<HHI4s", body, start + 2 + 12 * index, number, kind, count, value.ljust(4, b"\0"))


def _pad(body: bytearray, before: int) -> None:
    if (before + len(body)) % 2:
        body.append(0)

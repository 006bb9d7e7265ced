"""The tags of a TIFF file that libvips loses; its EXIF is spread over the first directory and two more."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import BinaryIO

from clearair.image.metadata import directories, photoshop
from clearair.image.metadata.directories import Bytes, Directory, FileBytes, Tag
from clearair.image.metadata.kept import Metadata

_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_COMPRESSION, _SUBFILE_TYPE, _DNG_VERSION = 259, 254, 50706
_NODATA = 42113
_BITS, _PHOTOMETRIC, _PLANAR, _TILE_WIDTH, _SAMPLE_FORMAT = 258, 262, 284, 322, 339
_LAB = (8, 9, 10)
_YCBCR, _JPEG = 6, 7
_UNREAD = {
    6: "old-style JPEG", 34661: "JBIG", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 34926: "Zstandard",
    34933: "PNG", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
"""Compressions that a build of libvips may lack."""
_XMP, _IPTC, _PHOTOSHOP, _ICC = 700, 33723, 34377, 34675
_LAYERS, _PICTURES, _SIGNATURE = 37724, 330, 52545
_STRUCTURE = frozenset(
    {*range(254, 267), 273, *range(277, 285), *range(288, 294), 296, 297, 317, *range(320, 329)}
    | {332, 333, 334, 336, *range(338, 348), *range(512, 522), 529, 530, 531, 532, 559, 32996, 50674}
)
"""Tags of the first directory that say how its pixels are stored, and the resolution."""
_FIELDS = frozenset({_XMP, _IPTC, _PHOTOSHOP, _ICC})
_OWN_OFFSETS = frozenset({33628, 33629, 33630, 33631, 34412})
"""Private tags of microscopes that point to places in their file."""
_OFFSET_KINDS = frozenset({13, 16, 17, 18})
_TAGS = "tags"
_RESOLUTION = frozenset({_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT})
"""Kept as they are if they have no unit, since they then state only the aspect of a pixel."""
_DESCRIPTIVE = {
    269, 270, 271, 272, 285, 305, 306, 315, 316, 318, 319, 18246, 18249, 33432,
    40091, 40092, 40093, 40094, 40095, directories.ORIENTATION,
}  # fmt: skip
"""Tags of the first directory that EXIF in other containers has too (maker, date, author, rating)."""
_GROUPS = (
    ("GeoTIFF tags", frozenset({33550, 33920, 33922, 34264, 34735, 34736, 34737})),
    ("GDAL tags", frozenset({42112, 42113})),
)
_DEFLATED = (8, 32946)
_PIECE = 1 << 20
"""Number of bytes that are unpacked at once."""
_LOSSLESS = {1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 50000: "zstd"}


def completed(metadata: Metadata, data: Bytes) -> Metadata:
    """Add to libvips' metadata of the TIFF file `data`, classic or BigTIFF, what it ignores.

    Tags that no other container has are one piece of `extras`, as a block of their own.
    """
    directory = directories.read_directory(data)
    described = {number: tag for number, tag in directory.tags.items() if number in _DESCRIPTIVE}
    kept = {number: tag for number, tag in directory.tags.items() if _is_kept(number, tag)}
    others = {number: tag for number, tag in kept.items() if number not in described}
    if metadata.density is None:
        others |= {number: tag for number, tag in directory.tags.items() if number in _RESOLUTION}
    exif = directories.build_block(Directory(described, directory.children))
    return replace(
        metadata,
        exif=exif if described or directory.children else None,
        extras=((_TAGS, directories.build_block(Directory(others))),) if others else (),
        iptc=_in_order(metadata.iptc) if metadata.iptc else None,
    )


def unkept(data: Bytes) -> tuple[str, ...]:
    """Name data of the file that a change of its pixels invalidates."""
    names: list[str] = []
    for number, tag in directories.read_directory(data).tags.items():
        if number == _LAYERS:
            names.append("Photoshop layers (only the flattened picture is kept)")
        elif number == _PICTURES:
            names.append("a further picture" if tag.count == 1 else f"{tag.count} further pictures")
        elif number == _SIGNATURE:
            names.append("C2PA signature")
        elif not (number in _STRUCTURE or number in _FIELDS or _is_kept(number, tag)):
            names.append(f"tag {number}")
    if behind := _behind(data):
        names.append(f"{behind:,} bytes of other data")
    return tuple(names)


def _behind(data: Bytes) -> int:
    """How many bytes stand behind everything that the file refers to; 0 where all are zeros."""
    end = directories.extent(data)
    pieces = range(end, len(data), _PIECE)
    return len(data) - end if any(data[at : at + _PIECE].strip(b"\0") for at in pieces) else 0


def called(name: str, body: bytes) -> tuple[str, ...]:
    """What people call what a piece of `extras` holds."""
    tags = directories.read_directory(body).tags
    numbers = set(tags) - _RESOLUTION
    names = [group for group, members in _GROUPS if numbers & members]
    if _X_RESOLUTION in tags and tags.get(_Y_RESOLUTION) != tags[_X_RESOLUTION]:
        names.append("aspect of pixels")
    rest = sorted(numbers.difference(*(members for _, members in _GROUPS)))
    return (*names, *(f"tag {number}" for number in rest))


def compression(data: Bytes) -> str:
    """Name a lossless compression for the restored file: the source's own, else deflate."""
    tag = directories.read_directory(data).tags.get(_COMPRESSION)
    return _LOSSLESS.get(next(iter(tag.integers()), 0) if tag else 0, "deflate")


def nodata(data: Bytes) -> float | None:
    """Return the number that marks samples without data (GDAL's tag 42113), or None."""
    tag = directories.read_directory(data).tags.get(_NODATA)
    try:
        return float(tag.data.rstrip(b"\0 ").decode("ascii")) if tag else None
    except ValueError:
        return None


def is_camera_raw(data: Bytes) -> bool:
    """Whether the file is a digital negative, or starts with a reduced picture as camera raw files do."""
    tags = directories.read_directory(data).tags
    kind = tags[_SUBFILE_TYPE].integers() if _SUBFILE_TYPE in tags else ()
    return _DNG_VERSION in tags or bool(kind and kind[0] & 1)


def readable(data: bytes) -> bytes:
    """The file without an orientation that makes no sense, such as 0, for which libtiff refuses it."""
    tag = directories.read_directory(data).tags.get(directories.ORIENTATION)
    values = tag.integers() if tag else ()
    odd = bool(values) and not 1 <= values[0] <= 8
    # A file that is read piece by piece is read as a whole then.
    return directories.with_orientation(data[:], 1) if odd else data


def damaged_part(data: Bytes) -> str | None:
    """Name a deflated strip or tile of the first page with a wrong checksum, which libtiff ignores."""
    tags = directories.read_directory(data).tags

    def values(number: int) -> tuple[int, ...]:
        return tuple(tags[number].integers()) if number in tags else ()

    if next(iter(values(_COMPRESSION)), 1) not in _DEFLATED:
        return None
    name, places, sizes = ("tile", 324, 325) if _TILE_WIDTH in tags else ("strip", 273, 279)
    for number, (start, size) in enumerate(zip(values(places), values(sizes), strict=False), start=1):
        if size and not _is_sound(data, start, start + size):
            return f"{name} {number}"
    return None


def _is_sound(data: Bytes, start: int, end: int) -> bool:
    """Whether a zlib stream can be unpacked, with the right checksum where it has its end."""
    unpacker = zlib.decompressobj()
    try:
        for at in range(start, end, _PIECE):
            packed = data[at : min(at + _PIECE, end)]
            while packed and not unpacker.eof:
                unpacker.decompress(packed, _PIECE)
                packed = unpacker.unconsumed_tail
    except zlib.error:
        return False
    return True


def unsupported(data: Bytes, *, lacks_codec: bool) -> str | None:
    """Say what kind of TIFF this is when it is a valid one of a kind that libvips does not read, or None.

    `lacks_codec` is whether libvips complained of a compression that it was built without.
    """
    tags = directories.read_directory(data).tags

    def values(number: int, default: int) -> tuple[int, ...]:
        return (tuple(tags[number].integers()) if number in tags else ()) or (default,)

    bits, packing = values(_BITS, 1)[0], values(_COMPRESSION, 1)[0]
    if values(_SAMPLE_FORMAT, 1)[0] in (5, 6):
        return "complex-number"
    if values(_SAMPLE_FORMAT, 1)[0] == 3 and bits == 64:
        return "64-bit float"
    if 0 < bits <= 64 and bits not in (1, 2, 4, 8, 16, 32):
        return f"{bits}-bit"
    if lacks_codec:
        return f"{_UNREAD.get(packing, f'scheme-{packing}')}-compressed"
    if values(_PHOTOMETRIC, 2)[0] in _LAB and bits == 8:
        return "8-bit Lab"
    if values(_PLANAR, 1)[0] == 2 and _TILE_WIDTH in tags:
        return "planar tiled"
    if values(_PHOTOMETRIC, 2)[0] == _YCBCR and packing != _JPEG and _TILE_WIDTH in tags:
        return "tiled YCbCr"
    return None


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Return the one-page, little-endian classic TIFF file `data`, which has the XMP, with all `metadata`."""
    return directories.replace_first_directory(data, _described(data, metadata))


def add_metadata(file: BinaryIO, metadata: Metadata) -> None:
    """Do the same to a file that is open for reading and writing, whose pixels stay where they are."""
    directories.replace_first_directory_of(file, _described(FileBytes(file), metadata))


def _described(data: Bytes, metadata: Metadata) -> Directory:
    """The first directory of a TIFF file, with all `metadata`."""
    pixels = directories.read_directory(data)
    described = directories.read_directory(metadata.exif) if metadata.exif else Directory()
    tags = {**pixels.tags}
    # Writers invent a density if none is known.
    for number in (_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, directories.ORIENTATION):
        tags.pop(number, None)
    tags |= {number: tag for number, tag in described.tags.items() if _is_kept(number, tag)}
    for name, block in metadata.extras:
        tags |= directories.read_directory(block).tags if name == _TAGS else {}
    if directories.ORIENTATION in tags:  # readers refuse a file whose orientation makes no sense
        tags[directories.ORIENTATION] = Tag.short(metadata.orientation)
    if not metadata.density:
        tags |= {number: tag for number, tag in described.tags.items() if number in _RESOLUTION}
    else:
        # libvips reads single precision, which would make 300.000002 of 300.
        across, down = (round(value * 25.4, 4) for value in metadata.density)
        tags |= {_X_RESOLUTION: Tag.rational(across), _Y_RESOLUTION: Tag.rational(down)}
        tags[_RESOLUTION_UNIT] = Tag.short(2)
    if metadata.icc:
        tags[_ICC] = Tag.opaque(metadata.icc)
    if iptc := metadata.iptc or (photoshop.iptc_of(metadata.photoshop) if metadata.photoshop else None):
        tags[_IPTC] = Tag.opaque(iptc)
    if metadata.photoshop:
        tags[_PHOTOSHOP] = Tag.opaque(metadata.photoshop)
    return replace(described, tags=tags)


def _is_kept(number: int, tag: Tag) -> bool:
    """Whether a tag that no field of `Metadata` holds stays true of other pixels, in another file."""
    known = number in _STRUCTURE or number in _FIELDS or number in (_LAYERS, _PICTURES, _SIGNATURE)
    return not (known or number in _OWN_OFFSETS or tag.kind in _OFFSET_KINDS)


def _in_order(body: bytes) -> bytes:
    """IPTC, which some big-endian files call numbers of four bytes: libtiff turns these round."""
    turned = body[3:4] == b"\x1c" != body[:1]
    return b"".join(body[at : at + 4][::-1] for at in range(0, len(body), 4)) if turned else body

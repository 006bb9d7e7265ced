"""The chunks of a WebP file that are not pixels (RFC 9649, section 2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from clearair.image.metadata import Metadata

_ICC_FLAG, _ALPHA_FLAG, _EXIF_FLAG, _XMP_FLAG = 0x20, 0x10, 0x08, 0x04


def read_metadata(data: bytes) -> Metadata:
    """Collect the metadata of a WebP file."""
    chunks = dict(_chunks(data))
    exif = chunks.get(b"EXIF", b"").removeprefix(b"Exif\0\0")
    return Metadata(icc=chunks.get(b"ICCP") or None, exif=exif or None, xmp=chunks.get(b"XMP ") or None)


def is_lossless(data: bytes) -> bool:
    """Whether the picture, or the first frame of an animation, is coded without loss."""
    for name, body in _chunks(data):
        if name in (b"VP8 ", b"VP8L"):
            return name == b"VP8L"
        if name == b"ANMF":
            return any(inner == b"VP8L" for inner, _ in _chunks(body, start=16))
    return False


def with_metadata(data: bytes, metadata: Metadata, *, width: int, height: int, alpha: bool) -> bytes:
    """Return the WebP file `data`, of `width` x `height` pixels, with `metadata` in place of its own."""
    pixels = [(name, body) for name, body in _chunks(data) if name in (b"ALPH", b"VP8 ", b"VP8L")]
    before = [(b"ICCP", metadata.icc)] if metadata.icc else []
    after = [(b"EXIF", metadata.exif)] if metadata.exif else []
    after += [(b"XMP ", metadata.xmp)] if metadata.xmp else []
    if not before and not after:
        return data
    flags = (_ICC_FLAG if metadata.icc else 0) | (_ALPHA_FLAG if alpha else 0)
    flags |= (_EXIF_FLAG if metadata.exif else 0) | (_XMP_FLAG if metadata.xmp else 0)
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    header = (b"VP8X", bytes((flags, 0, 0, 0)) + canvas)
    body = b"".join(_chunk(name, part) for name, part in [header, *before, *pixels, *after])
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _chunks(data: bytes, start: int = 12) -> Iterator[tuple[bytes, bytes]]:
    at = start
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)

"""The chunks of a WebP file that libvips loses (RFC 9649, section 2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from clearair.image.metadata.kept import Metadata


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Put into what libvips read from the WebP file `data` what its header does not announce."""
    chunks = dict(_chunks(data))
    exif = chunks.get(b"EXIF", b"").removeprefix(b"Exif\0\0")
    return replace(metadata, icc=chunks.get(b"ICCP"), exif=exif or None, xmp=chunks.get(b"XMP "))


def is_lossless(data: bytes) -> bool:
    """Whether the picture, or the first frame of an animation, is coded without loss."""
    for name, body in _chunks(data):
        if name in (b"VP8 ", b"VP8L"):
            return name == b"VP8L"
        if name == b"ANMF":
            return any(inner == b"VP8L" for inner, _ in _chunks(body, start=16))
    return False


def with_exif(data: bytes, exif: bytes) -> bytes:
    """Return the WebP file `data`, which has EXIF by libvips' own model, with `exif` in its place."""
    body = b"".join(_chunk(name, exif if name == b"EXIF" else part) for name, part in _chunks(data))
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _chunks(data: bytes, start: int = 12) -> Iterator[tuple[bytes, bytes]]:
    at = start
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)

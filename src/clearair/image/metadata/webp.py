"""The chunks of a WebP file that libvips loses (RFC 9649, section 2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from clearair.image.metadata.kept import Metadata

_SIGNATURE = b"C2PA"
_KNOWN = {b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L", b"EXIF", b"XMP ", _SIGNATURE}


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Add to libvips' metadata of the WebP file `data` what its header does not announce."""
    chunks = dict(_chunks(data))
    exif = chunks.get(b"EXIF", b"").removeprefix(b"Exif\0\0")
    inside = data[: 8 + int.from_bytes(data[4:8], "little")]
    extras = tuple((name.decode("latin-1"), body) for name, body in _chunks(inside) if name not in _KNOWN)
    return replace(
        metadata, icc=chunks.get(b"ICCP"), exif=exif or None, xmp=chunks.get(b"XMP "), extras=extras
    )


def unkept(data: bytes) -> tuple[str, ...]:
    """Name data of the file that a change of its pixels invalidates, besides previews in EXIF."""
    names = ["C2PA signature"] if any(name == _SIGNATURE for name, _ in _chunks(data)) else []
    end = 8 + int.from_bytes(data[4:8], "little")
    if data[end:].strip(b"\0"):
        names.append(f"{len(data) - end:,} bytes of other data")
    return tuple(names)


def called(name: str, body: bytes) -> tuple[str, ...]:
    """The common name of a piece of `extras`."""
    return (f"chunk {name.strip()}",)


def with_extras(data: bytes, extras: tuple[tuple[str, bytes], ...], size: tuple[int, int]) -> bytes:
    """Return the WebP file `data`, of a picture of `size`, with chunks of other programs at its end."""
    if not extras:
        return data
    chunks = list(_chunks(data))
    if chunks[0][0] != b"VP8X":  # which a file with other chunks starts with (2.7)
        alpha = chunks[0][0] == b"VP8L" and chunks[0][1][4] & 0x10
        sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
        chunks.insert(0, (b"VP8X", bytes((0x10 if alpha else 0, 0, 0, 0)) + sides))
    chunks += [(name.encode("latin-1"), part) for name, part in extras]
    return _riff(b"".join(_chunk(name, part) for name, part in chunks))


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
    return _riff(body)


def _riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _chunks(data: bytes, start: int = 12) -> Iterator[tuple[bytes, bytes]]:
    at = start
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)

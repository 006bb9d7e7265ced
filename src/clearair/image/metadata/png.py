"""The chunks of a PNG file that libvips loses (PNG third edition, section 11.3)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace

from clearair.image.metadata.kept import Metadata

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp\0"
_KEPT = {"gAMA", "cHRM", "sRGB", "cICP", "mDCV", "cLLI", "tEXt", "zTXt", "iTXt", "tIME"}
_PIXELS = {"IHDR", "PLTE", "tRNS", "IDAT", "IEND"}
_MAX_PROFILE = 64 << 20


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Put into what libvips read from the PNG file `data` what it passes over or cuts."""
    icc = exif = xmp = density = None
    extras: list[tuple[str, bytes]] = []
    for name, body in _chunks(data):
        if name == "iCCP":
            icc = _inflate(body.partition(b"\0")[2][1:])
        elif name == "eXIf":
            exif = body.removeprefix(b"Exif\0\0")
        elif name == "iTXt" and body.startswith(_XMP):
            xmp = _read_xmp(body)
        elif name == "pHYs" and len(body) == 9:
            across, down, unit = struct.unpack(">IIB", body)
            density = (across / 1000, down / 1000) if unit == 1 else None
        elif name in _KEPT:
            extras.append((name, body))
    return replace(metadata, icc=icc, exif=exif, xmp=xmp, density=density, extras=tuple(extras))


def count_frames(data: bytes) -> int:
    """Count the frames of an animated PNG; 1 for a still one."""
    return next((int.from_bytes(body[:4], "big") for name, body in _chunks(data) if name == "acTL"), 1)


def damaged_chunk(data: bytes) -> str | None:
    """Name the first chunk with a wrong checksum that pixels depend on, or None.

    A chunk that is cut off is not judged.
    """
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        name, end = data[at + 4 : at + 8].decode("latin-1"), at + 8 + length
        if name in _PIXELS and end + 4 <= len(data):
            checksum = int.from_bytes(data[end : end + 4], "big")
            if zlib.crc32(memoryview(data)[at + 4 : end]) != checksum:
                return name
        at = end + 4
    return None


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Return the PNG file `data` with `metadata` in place of its own."""
    head: list[tuple[str, bytes]] = list(metadata.extras)
    if metadata.icc:
        # A file must not have both, and the profile says more.
        head = [(name, body) for name, body in head if name != "sRGB"]
        head.insert(0, ("iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.density:
        across, down = (round(value * 1000) for value in metadata.density)
        head.append(("pHYs", struct.pack(">IIB", across, down, 1)))
    if metadata.exif:
        head.append(("eXIf", metadata.exif))
    if metadata.xmp:
        head.append(("iTXt", _XMP + b"\0\0\0\0" + metadata.xmp))
    pixels = [(name, body) for name, body in _chunks(data) if name in _PIXELS]
    return _SIGNATURE + b"".join(_chunk(name, body) for name, body in [pixels[0], *head, *pixels[1:]])


def _chunks(data: bytes) -> Iterator[tuple[str, bytes]]:
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8].decode("latin-1"), data[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(name: str, body: bytes) -> bytes:
    kind = name.encode("latin-1")
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _read_xmp(body: bytes) -> bytes | None:
    """The text of an iTXt chunk: compression flag and method, language, translated keyword, text."""
    compressed, rest = body[len(_XMP) : len(_XMP) + 1], body[len(_XMP) + 2 :]
    text = rest.split(b"\0", 2)[-1]
    return _inflate(text) if compressed == b"\1" else text


def _inflate(data: bytes) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        return unpacker.decompress(data, _MAX_PROFILE) or None
    except zlib.error:
        return None

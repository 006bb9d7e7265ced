"""The segments of a JPEG file that libvips loses (JFIF; EXIF 2.32, 4.5.4; XMP part 3; ICC.1 annex B.4)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from clearair.image.metadata.kept import Metadata

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_LONG_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_ICC = b"ICC_PROFILE\0"
_MPF = b"MPF\0"
_SEGMENT_ROOM = 65533
_SOS, _COM, _APP0, _APP1, _APP2, _APP13 = 0xDA, 0xFE, 0xE0, 0xE1, 0xE2, 0xED


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Put into what libvips read from the JPEG file `data` what it passes over or cuts."""
    density = xmp = None
    profile: dict[int, bytes] = {}
    extras: list[tuple[str, bytes]] = []
    for marker, body in _segments(data):
        if marker == _APP0 and body.startswith(b"JFIF\0"):
            density = _density(body)
        elif marker == _APP1 and body.startswith(_XMP):
            xmp = xmp or body[len(_XMP) :]
        elif marker == _APP2 and body.startswith(_ICC) and len(body) > 14:
            profile[body[12]] = body[14:]
        elif marker in (_APP13, _COM) or (marker == _APP1 and body.startswith(_LONG_XMP)):
            extras.append((f"{marker:02x}", body))
    icc = b"".join(profile[number] for number in sorted(profile)) or None
    return replace(metadata, icc=icc, xmp=xmp, density=density, extras=tuple(extras))


def holds_more_pictures(data: bytes) -> bool:
    """Whether further pictures (an HDR gain map, a depth map, a large preview) follow the first one."""
    return any(marker == _APP2 and body.startswith(_MPF) for marker, body in _segments(data))


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Return the JPEG file `data`, which has none, with `metadata`.

    EXIF or XMP that does not fit a segment (64 kB) is left out; `unfit` names it.
    """
    head = [_segment(_APP0, b"JFIF\0\x01\x01" + _pack_density(metadata.density) + b"\0\0")]
    left_out = unfit(metadata)
    if metadata.exif and "EXIF" not in left_out:
        head.append(_segment(_APP1, _EXIF + metadata.exif))
    if metadata.xmp and "XMP" not in left_out:
        head.append(_segment(_APP1, _XMP + metadata.xmp))
    head += [_segment(int(name, 16), body) for name, body in metadata.extras]
    head += _profile_segments(metadata.icc) if metadata.icc else []
    return b"".join([data[:2], *head, data[2:]])


def unfit(metadata: Metadata) -> tuple[str, ...]:
    """Name what is too long for a JPEG segment."""
    long_exif = metadata.exif and len(metadata.exif) + len(_EXIF) > _SEGMENT_ROOM
    long_xmp = metadata.xmp and len(metadata.xmp) + len(_XMP) > _SEGMENT_ROOM
    return tuple(name for name, long in (("EXIF", long_exif), ("XMP", long_xmp)) if long)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, body) of every segment before the pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SOS or length < 2:
            return
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _profile_segments(icc: bytes) -> list[bytes]:
    room = _SEGMENT_ROOM - len(_ICC) - 2
    parts = [icc[at : at + room] for at in range(0, len(icc), room)]
    return [
        _segment(_APP2, _ICC + bytes((number, len(parts))) + part)
        for number, part in enumerate(parts, start=1)
    ]


def _density(jfif: bytes) -> tuple[float, float] | None:
    if len(jfif) < 12:
        return None
    unit, across, down = struct.unpack_from(">BHH", jfif, 7)
    per_mm = {1: 1 / 25.4, 2: 1 / 10}.get(unit)
    return (across * per_mm, down * per_mm) if per_mm and across and down else None


def _pack_density(density: tuple[float, float] | None) -> bytes:
    """Dots per inch; without a density, square pixels of no stated size."""
    if density is None:
        return struct.pack(">BHH", 0, 1, 1)
    across, down = (min(max(round(value * 25.4), 1), 65535) for value in density)
    return struct.pack(">BHH", 1, across, down)

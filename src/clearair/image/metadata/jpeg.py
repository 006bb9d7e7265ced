"""The segments of a JPEG file that libvips loses (JFIF; EXIF 2.32, 4.5.4; XMP part 3; ICC.1 annex B.4)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import replace

from clearair.image.metadata import directories, photoshop, xmp
from clearair.image.metadata.kept import Metadata

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_LONG_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_ICC = b"ICC_PROFILE\0"
_MPF = b"MPF\0"
_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"
_RESOURCES = b"Photoshop 3.0\0"
_ASPECT = "aspect"
_SEGMENT_ROOM = 65533
_SOS, _EOI, _COM, _APP0, _APP1, _APP2, _APP11, _APP13, _APP14 = (
    0xDA, 0xD9, 0xFE, 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE,
)  # fmt: skip
_DQT = 0xDB
_USUAL_STEPS = (
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49,
    35, 37, 29, 40, 58, 51, 61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56,
    80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
)  # fmt: skip
"""Table K.1 of ITU T.81 in zigzag order."""
_CODING = frozenset({0xC0 + number for number in range(16)} - {0xC8} | {_SOS, _DQT, 0xDC, 0xDD})
"""Frames, scans, and the tables, line counts and intervals that their codes need."""
_ADOBE = b"Adobe"
_CODED_IN = frozenset({0x01, *range(0xD0, 0xD8)})
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_PICTURE = b"\xff\xd8\xff"
_DEPTH_SIGNS = (b"depthData", b"depthBlurEffect")


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Add to libvips' metadata of the JPEG file `data` what it ignores or truncates."""
    density = packet = None
    profile: dict[int, bytes] = {}
    extras: list[tuple[str, bytes]] = []
    for marker, body in _segments(data):
        if marker == _APP0 and body.startswith(b"JFIF\0"):
            density = _density(body)
            if density is None and body[8:10] != body[10:12]:
                extras.append((_ASPECT, body[7:12]))
        elif marker == _APP1 and body.startswith(_XMP):
            packet = packet or body[len(_XMP) :]
        elif marker == _APP2 and body.startswith(_ICC) and len(body) > 14:
            profile[body[12]] = body[14:]
        elif _is_kept(marker, body):
            extras.append((f"{marker:02x}", _without_thumbnail(marker, body)))
    icc = b"".join(profile[number] for number in sorted(profile)) or None
    block = _resources(data)
    return replace(
        metadata,
        icc=icc,
        xmp=packet,
        density=density,
        extras=tuple(extras),
        iptc=photoshop.iptc_of(block),
        photoshop=photoshop.without_iptc(block),
    )


def unkept(data: bytes) -> tuple[str, ...]:
    """Name data of the file that a change of its pixels invalidates, besides previews in EXIF."""
    names: list[str] = []
    boxes = b""
    for marker, body in _segments(data):
        if marker == _APP0 and (body.startswith(b"JFXX\0") or _has_jfif_thumbnail(body)):
            names.append("thumbnail")
        elif marker == _APP11 and body.startswith(b"JP"):
            boxes += body
        elif marker == _APP11 and body.startswith(b"HDR_RI"):
            names.append("HDR ratio image")
    if boxes:
        names.append("C2PA signature" if b"c2pa" in boxes else "JUMBF data (such as a C2PA signature)")
    return tuple(dict.fromkeys([*names, *_behind(data)]))


def quality(data: bytes) -> int | None:
    """Estimate the libjpeg quality, 1 to 100, from the luma table (ITU T.81, annex K).

    None where the table is not one that libjpeg makes: other programs count in other ways.
    """
    table = _brightness_steps(data)
    if table is None:
        return None
    for quality in range(100, 0, -1):
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        if all(
            step == min(max((usual * scale + 50) // 100, 1), 255)
            for step, usual in zip(table, _USUAL_STEPS, strict=True)
        ):
            return quality
    return None


def _brightness_steps(data: bytes) -> bytes | None:
    """The first quantisation table, in the order of the file."""
    for marker, body in _segments(data):
        at = 0
        while marker == _DQT and at < len(body):
            size = 128 if body[at] >> 4 else 64
            if body[at] == 0 and len(body) >= at + 65:
                return body[at + 1 : at + 65]
            at += 1 + size
    return None


def called(name: str, body: bytes) -> tuple[str, ...]:
    """The common name of a piece of `extras`; empty if another field of `Metadata` also holds it."""
    if name == f"{_APP13:02x}" and body.startswith(_RESOURCES):
        return ()
    return (_name_of(name, body),)


def _name_of(name: str, body: bytes) -> str:
    if name == _ASPECT:
        return "aspect of pixels"
    marker = int(name, 16)
    if marker == _COM:
        return "comment"
    if marker == _APP1 and body.startswith(_LONG_XMP):
        return "extended XMP"
    if marker == _APP1 and body.startswith(b"FLIR\0"):
        return "thermal data (FLIR)"
    words = re.match(rb"[\w ./:-]{3,}", body)
    return f"APP{marker - _APP0} segment{f' ({words[0].decode()})' if words else ''}"


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Return the JPEG file `data`, which has none, with `metadata`.

    EXIF or XMP that does not fit a segment (64 kB) is left out; `unfit` names it.
    """
    aspect = dict(metadata.extras).get(_ASPECT) or _pack_density(metadata.density)
    head = [_segment(_APP0, b"JFIF\0\x01\x01" + aspect + b"\0\0")]
    left_out = unfit(metadata)
    if metadata.exif and "EXIF" not in left_out:
        head.append(_segment(_APP1, _EXIF + metadata.exif))
    if metadata.xmp and "XMP" not in left_out:
        head.append(_segment(_APP1, _XMP + metadata.xmp))
    head += [_segment(int(name, 16), body) for name, body in metadata.extras if name != _ASPECT]
    if f"{_APP13:02x}" not in dict(metadata.extras):
        block = photoshop.build(metadata.iptc, metadata.photoshop)
        head += [_segment(_APP13, _RESOURCES + part) for part in _parts(block, len(_RESOURCES))]
    head += _profile_segments(metadata.icc) if metadata.icc else []
    return b"".join([data[:2], *head, data[2:]])


def stripped(data: bytes, metadata: Metadata) -> bytes | None:
    """Return the JPEG file `data` without metadata, its pixels coded as they were.

    What says how to show them stays: profile, density, how colours are coded, an orientation that is not 1.
    None where its segments do not lead to an end marker.
    """
    pieces = _pieces(data)
    if pieces is None:
        return None
    own = completed(Metadata(), data)
    head = [data[:2]]
    # A file without this segment gets none: with it, decoders may take RGB for YCbCr.
    if any(marker == _APP0 and piece.startswith(b"JFIF\0", 4) for marker, piece in pieces):
        head.append(_segment(_APP0, b"JFIF\0\x01\x01" + _pack_density(own.density) + b"\0\0"))
    if metadata.orientation != 1:
        head.append(_segment(_APP1, _EXIF + directories.orientation_block(metadata.orientation)))
    head += _profile_segments(own.icc) if own.icc else []
    adobe = (piece[4:16] for marker, piece in pieces if marker == _APP14 and piece.startswith(_ADOBE, 4))
    head += [_segment(_APP14, body) for body in adobe]
    coded = [piece for marker, piece in pieces if marker in _CODING]
    return b"".join([*head, *coded, bytes((0xFF, _EOI))])


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


def _pieces(data: bytes) -> list[tuple[int, bytes]] | None:
    """(marker, segment) of every segment up to the end marker, of a scan with what is coded in it.

    None where there is no end marker.
    """
    pieces: list[tuple[int, bytes]] = []
    at = 2
    while at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _EOI:
            return pieces
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + max(int.from_bytes(data[at + 2 : at + 4], "big"), 2)
        if marker == _SOS:
            following = _MARKER.search(data, end)
            end = following.start() if following else len(data)
        pieces.append((marker, data[at:end]))
        at = end
    return None


def _is_kept(marker: int, body: bytes) -> bool:
    """Whether a segment that no field of `Metadata` holds says something that stays true of other pixels."""
    if not (_APP0 <= marker <= 0xEF or marker == _COM) or marker == _APP14:
        return False  # how the pixels are coded
    if marker == _APP0 and body.startswith((b"JFIF\0", b"JFXX\0")):
        return False
    if marker == _APP1 and body.startswith((_EXIF, _XMP)):
        return False
    if marker == _APP2 and body.startswith((_ICC, _MPF, _GAIN_MAP)):
        return False
    return not (marker == _APP11 and body.startswith((b"JP", b"HDR_RI")))


def _has_jfif_thumbnail(body: bytes) -> bool:
    return body.startswith(b"JFIF\0") and len(body) > 14 and body[12] * body[13] > 0


def _without_thumbnail(marker: int, body: bytes) -> bytes:
    if marker == _APP13 and body.startswith(_RESOURCES):
        return _RESOURCES + photoshop.without_thumbnail(body[len(_RESOURCES) :])
    return body


def _resources(data: bytes) -> bytes:
    """Photoshop's resources, which may go on from segment to segment."""
    bodies = (body for marker, body in _segments(data) if marker == _APP13 and body.startswith(_RESOURCES))
    return b"".join(body[len(_RESOURCES) :] for body in bodies)


def _behind(data: bytes) -> list[str]:
    """Name data behind the picture: further pictures, a video, data of camera makers."""
    at = _end(data, 0)
    names: list[str] = []
    pictures = 0
    while at < len(data):
        if data.startswith(_PICTURE, at):
            head = data[at : at + _SEGMENT_ROOM]
            at = _end(data, at)
            if xmp.has_gain_map(head) or _GAIN_MAP in head:
                names.append("HDR gain map")
            elif any(sign in head for sign in _DEPTH_SIGNS):
                names.append("depth map")
            else:
                pictures += 1
            continue
        following = data.find(_PICTURE, at)
        part = data[at : following if following >= 0 else len(data)]
        if b"ftyp" in part:
            # A video may hold anything, also what looks like a picture.
            names.append("video (motion photo)")
            break
        if part.strip(b"\0\xff\r\n\t "):
            names.append("Samsung data" if part.endswith(b"SEFT") else f"{len(part):,} bytes of other data")
        at += len(part)
    if pictures:
        names.insert(0, "a further picture" if pictures == 1 else f"{pictures} further pictures")
    return names


def _end(data: bytes, start: int) -> int:
    """Where the picture that starts at `start` ends, behind its end marker."""
    at = start + 2
    while at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _EOI:
            return at + 2
        if marker == 0xFF or marker in _CODED_IN:
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + max(int.from_bytes(data[at + 2 : at + 4], "big"), 2)
        if marker == _SOS:
            following = _MARKER.search(data, at)
            if following is None:
                break
            at = following.start()
    return len(data)


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _parts(whole: bytes, taken: int) -> list[bytes]:
    """Pieces that fit a segment of which `taken` bytes are taken."""
    room = _SEGMENT_ROOM - taken
    return [whole[at : at + room] for at in range(0, len(whole), room)]


def _profile_segments(icc: bytes) -> list[bytes]:
    parts = _parts(icc, len(_ICC) + 2)
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

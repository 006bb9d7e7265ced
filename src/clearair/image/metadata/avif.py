"""What libvips loses or does not check of an AVIF file (ISO/IEC 23008-12; ISO/IEC 14496-12)."""

from __future__ import annotations

import struct


def announced_size(data: bytes) -> tuple[int, int]:
    """Return the largest width and height that an `ispe` property claims; 0 and 0 without one."""
    end = data.find(b"mdat")  # properties stand in the `meta` box, before the pixels
    width = height = 0
    at = data.find(b"ispe", 0, end)
    while 0 <= at <= len(data) - 16:
        across, down = struct.unpack_from(">II", data, at + 8)  # after the name, version and flags
        width, height = max(width, across), max(height, down)
        at = data.find(b"ispe", at + 4, end)
    return width, height


def count_frames(data: bytes) -> int:
    """Count the frames of an animated AVIF (brand `avis`); 1 for a still one.

    A sequence has a `moov` box whose tracks count their samples in `stsz` (ISO/IEC 14496-12, 8.7.3.2).
    """
    length = min(int.from_bytes(data[:4], "big"), len(data))
    movie = data.find(b"moov")
    if b"avis" not in data[8:length] or movie < 0:
        return 1
    frames = 1
    at = data.find(b"stsz", movie)
    while 0 <= at <= len(data) - 16:
        frames = max(frames, int.from_bytes(data[at + 12 : at + 16], "big"))
        at = data.find(b"stsz", at + 4)
    return frames


def with_exif(data: bytes, exif: bytes) -> bytes:
    """Return the AVIF file `data`, which has EXIF by libvips' own model, with `exif` in its place.

    It is appended and the item's entry in `iloc` (8.11.3) pointed to it, so that nothing else moves. A file
    whose `iloc` has other widths than libheif gives it keeps the EXIF that it has.
    """
    places, kind = data.index(b"iloc") + 4, data.index(b"Exif", data.index(b"iinf"))
    if data[places : places + 6] != b"\0\0\0\0\x44\x40":  # version 0; offsets and lengths of four bytes
        return data
    number, count = data[kind - 4 : kind - 2], int.from_bytes(data[places + 6 : places + 8], "big")
    entries = range(places + 8, places + 8 + 18 * count, 18)
    at = next(at for at in entries if data[at : at + 2] == number)
    body = bytes(4) + exif  # no offset to the byte order mark
    edited = bytearray(data)
    struct.pack_into(">IHII", edited, at + 4, 0, 1, len(data) + 8, len(body))
    return bytes(edited) + struct.pack(">I4s", len(body) + 8, b"mdat") + body

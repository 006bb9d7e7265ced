"""What the header of an AVIF file says, as far as libvips does not check it (ISO/IEC 23008-12, 6.5.3)."""

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

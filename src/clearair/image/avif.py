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

"""Windows bitmaps: uncompressed, of 1 to 32 bits a pixel (the headers BITMAPCOREHEADER to BITMAPV5HEADER).

Shapes: H x W pixels, N colours of a palette.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_FILE_HEADER, _CORE, _INFO, _V5 = 14, 12, 40, 124
_EMBEDDED = b"DEBM"  # "MBED" as a number
_PLAIN, _MASKED, _MASKED_ALPHA = 0, 3, 6
_PACKINGS = {1: "run-length packed", 2: "run-length packed", 4: "JPEG-compressed", 5: "PNG-compressed"}
_MASKS = {16: (0x7C00, 0x03E0, 0x001F, 0), 24: (0, 0, 0, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}


class UnsupportedError(Exception):
    """A valid bitmap of a kind that is not read."""


@dataclass(frozen=True)
class Header:
    """How the pixels of a bitmap are stored."""

    width: int
    height: int
    top_down: bool
    """Rows usually run from the bottom up."""
    bits: int
    """Bits a pixel; up to 8 they are an index into the palette."""
    start: int
    """Offset of the first row."""
    masks: tuple[int, int, int, int]
    """Bits of red, green, blue and alpha in a pixel of 16 or 32 bits; 0 = no such channel."""
    palette: bytes
    colour_size: int
    """Bytes a colour of the palette: blue, green, red, and sometimes one that is not used."""
    density: tuple[float, float] | None
    """Pixels per millimetre, when the file says so."""

    @property
    def stride(self) -> int:
        """Bytes a row, a multiple of four."""
        return (self.width * self.bits + 31) // 32 * 4


def embedded_profile(data: bytes) -> bytes | None:
    """Return the colour profile in a file with a BITMAPV5HEADER, or None."""
    (size,) = struct.unpack_from("<I", data, _FILE_HEADER) if len(data) >= _FILE_HEADER + 4 else (0,)
    if size < _V5 or len(data) < _FILE_HEADER + _V5 or data[70:74] != _EMBEDDED:
        return None
    offset, length = struct.unpack_from("<II", data, 126)
    profile = data[_FILE_HEADER + offset : _FILE_HEADER + offset + length]
    return profile if length and len(profile) == length else None


def read_header(data: bytes) -> Header | None:
    """Read the header; None when it makes no sense. Raises UnsupportedError."""
    if len(data) < _FILE_HEADER + _CORE:
        return None
    start, size = struct.unpack_from("<II", data, 10)
    if size == _CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        packing, across, down, colours = _PLAIN, 0, 0, 0
    elif size >= _INFO and len(data) >= _FILE_HEADER + _INFO:
        width, height, _, bits, packing, _, across, down, colours = struct.unpack_from("<iiHHIIiiI", data, 18)
    else:
        return None
    if packing in _PACKINGS:
        raise UnsupportedError(f"a {_PACKINGS[packing]} BMP file, which cannot be read")
    if packing not in (_PLAIN, _MASKED, _MASKED_ALPHA) or bits not in (1, 4, 8, 16, 24, 32):
        return None
    if width <= 0 or height == 0:
        return None
    masks = _MASKS.get(bits, (0, 0, 0, 0))
    if packing != _PLAIN and bits in (16, 32) and len(data) >= 70:
        has_alpha = size >= 56 or packing == _MASKED_ALPHA
        red, green, blue, alpha = struct.unpack_from("<4I", data, 54)
        masks = (red, green, blue, alpha if has_alpha else 0)
    colour_size = 3 if size == _CORE else 4
    first = _FILE_HEADER + size
    number = (colours or 1 << bits) if bits <= 8 else 0
    return Header(
        width=width,
        height=abs(height),
        top_down=height < 0,
        bits=bits,
        start=start,
        masks=masks,
        palette=data[first : first + min(number, 256) * colour_size],
        colour_size=colour_size,
        density=(across / 1000, down / 1000) if across > 0 and down > 0 else None,
    )


def decode(data: bytes, header: Header) -> Bytes | None:
    """(H, W, 3 or 4) upright; None when the file ends early or its palette is too short."""
    need = header.stride * header.height
    if header.start < _FILE_HEADER or len(data) - header.start < need:
        return None
    rows = np.frombuffer(data, np.uint8, need, header.start).reshape(header.height, header.stride)
    if not header.top_down:
        rows = rows[::-1]
    if header.bits <= 8:
        return _coloured(rows, header)
    if header.bits == 24:
        return rows[:, : 3 * header.width].reshape(header.height, header.width, 3)[..., ::-1].copy()
    values = rows[:, : header.bits // 8 * header.width].copy().view(f"<u{header.bits // 8}")
    bands = [_channel(values, mask) for mask in header.masks if mask]
    return np.stack(bands, axis=2) if len(bands) >= 3 else None


def _coloured(rows: Bytes, header: Header) -> Bytes | None:
    bits = np.unpackbits(rows, axis=1).reshape(header.height, -1, header.bits)
    indices = np.packbits(bits, axis=2)[..., 0][:, : header.width] >> (8 - header.bits)
    size = header.colour_size
    colours = np.frombuffer(header.palette[: len(header.palette) // size * size], np.uint8).reshape(-1, size)
    if indices.max() >= len(colours):
        return None
    picked: Bytes = colours[:, 2::-1][indices]
    return picked


def _channel(values: NDArray[np.unsignedinteger], mask: int) -> Bytes:
    """The bits under `mask`, stretched to 0 to 255."""
    shift = (mask & -mask).bit_length() - 1
    top = mask >> shift
    part = (values.astype(np.uint64) & np.uint64(mask)) >> np.uint64(shift)
    return ((part * np.uint64(255) + np.uint64(top // 2)) // np.uint64(top)).astype(np.uint8)

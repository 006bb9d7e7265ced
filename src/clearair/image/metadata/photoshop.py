"""Photoshop's image resources, which hold the IPTC of a JPEG (Adobe Photoshop File Formats)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

IPTC = 0x0404
_THUMBNAILS = (0x0409, 0x040C)
_SIGNATURES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")


@dataclass(frozen=True)
class Resource:
    """One resource of a block."""

    number: int
    data: bytes
    raw: bytes
    """All of it as it stands in the file."""


def resources(block: bytes) -> tuple[list[Resource], bool]:
    """Part a block into its resources, and say whether it could be read to its end."""
    found: list[Resource] = []
    at = 0
    while block[at : at + 4] in _SIGNATURES and at + 12 <= len(block):
        (number,) = struct.unpack_from(">H", block, at + 4)
        start = at + 7 + block[at + 6]
        start += (start - at) % 2  # the name is padded to an even length
        if start + 4 > len(block):
            break
        (size,) = struct.unpack_from(">I", block, start)
        end = start + 4 + size
        if end > len(block):
            break
        raw = block[at : end + size % 2]
        found.append(Resource(number, block[start + 4 : end], raw + b"\0" * (len(raw) % 2)))
        at = end + size % 2
    return found, not block[at:].strip(b"\0")


def iptc_of(block: bytes) -> bytes | None:
    """Return the IPTC datasets in a block of resources, or None."""
    return next((each.data for each in resources(block)[0] if each.number == IPTC and each.data), None)


def without_iptc(block: bytes) -> bytes | None:
    """Return the resources of a block other than IPTC, or None when there are none."""
    return b"".join(each.raw for each in resources(block)[0] if each.number != IPTC) or None


def has_thumbnail(block: bytes) -> bool:
    """Whether a block holds a preview of the picture."""
    return any(each.number in _THUMBNAILS for each in resources(block)[0])


def without_thumbnail(block: bytes) -> bytes:
    """Return a block without its preview; one that holds none, or cannot be read to its end, as it is."""
    found, whole = resources(block)
    if not whole or not has_thumbnail(block):
        return block
    return b"".join(each.raw for each in found if each.number not in _THUMBNAILS)


def build(iptc: bytes | None, others: bytes | None) -> bytes:
    """Return a block with IPTC and the other resources of `others`."""
    block = b""
    if iptc:
        block = b"8BIM" + struct.pack(">HHI", IPTC, 0, len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    return block + ((without_iptc(others) if iptc else others) or b"" if others else b"")

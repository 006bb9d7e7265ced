"""Metadata of a GIF file (GIF89a, sections 23 to 26), none of which is written."""

from __future__ import annotations

_EXTENSION, _IMAGE = 0x21, 0x2C
_COMMENT, _APPLICATION = 0xFE, 0xFF
_TRAILER = b"\x3b"
_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_PROGRAMS = {b"XMP DataXMP": "XMP", b"ICCRGBG1012": "colour profile"}


def unkept(data: bytes) -> tuple[str, ...]:
    """Name comments and what programs have put into the file."""
    names: list[str] = []
    at = 13 + _table(data[10:11])
    while at + 2 < len(data) and data[at] in (_EXTENSION, _IMAGE):
        if data[at] == _IMAGE:
            at += 11 + _table(data[at + 9 : at + 10])
        else:
            program = data[at + 3 : at + 14]
            if data[at + 1] == _COMMENT:
                names.append("comment")
            elif data[at + 1] == _APPLICATION and program not in _LOOPS:
                names.append(_PROGRAMS.get(program, f"data of {program.decode('latin-1').strip()}"))
            at += 2
        while at < len(data) and data[at]:  # blocks, each with its length before it
            at += 1 + data[at]
        at += 1
    if data[at : at + 1] == _TRAILER and data[at + 1 :].strip(b"\0"):
        names.append(f"{len(data) - at - 1:,} bytes of other data")
    return tuple(dict.fromkeys(names))


def _table(flags: bytes) -> int:
    """Length of the table of colours that a byte of flags announces."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0

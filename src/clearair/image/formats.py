"""Which picture formats are read and written, what each can hold, and by which first bytes to tell them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

HEAD_BYTES = 64
"""So many bytes from the start of a file are enough for `sniff`."""


@dataclass(frozen=True)
class Format:
    """A picture format and what a file of it can hold."""

    name: str
    suffixes: tuple[str, ...]
    """Lower case with the dot, the usual one first."""
    alpha: bool
    bits: int
    """The most bits a channel can have; 32 means float."""
    max_side: int
    """The longest side in pixels that a file can announce."""
    writable: bool = True


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format("jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"), alpha=False, bits=8, max_side=65535),
        Format("png", (".png",), alpha=True, bits=16, max_side=1_000_000),
        Format("tiff", (".tif", ".tiff"), alpha=True, bits=32, max_side=10_000_000),
        Format("webp", (".webp",), alpha=True, bits=8, max_side=16383),
        Format("avif", (".avif",), alpha=True, bits=12, max_side=16384),
        # PNG does all that BMP does in less room; 256 colours of GIF would undo a restoration.
        Format("bmp", (".bmp", ".dib"), alpha=True, bits=8, max_side=1_000_000, writable=False),
        Format("gif", (".gif",), alpha=True, bits=8, max_side=65535, writable=False),
    )
}
"""Every readable format by name."""

SUFFIXES: dict[str, str] = {suffix: each.name for each in FORMATS.values() for suffix in each.suffixes}
"""File suffix (lower case, with the dot) -> format name, for every readable format."""

WRITABLE_SUFFIXES: frozenset[str] = frozenset(
    suffix for suffix, name in SUFFIXES.items() if FORMATS[name].writable
)

RAW_SUFFIXES = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw"}
    | {".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".srw"}
)
"""Camera raw files; most are TIFFs whose first picture is a thumbnail, so they must not pass as TIFF."""

FOREIGN_SUFFIXES = RAW_SUFFIXES | frozenset(
    {".exr", ".hdr", ".heic", ".heif", ".ico", ".j2k", ".jp2", ".jxl", ".pbm", ".pdf", ".pgm", ".ppm"}
    | {".psd", ".svg", ".tga"}
)
"""Picture files that are neither read nor written."""


def sniff(head: bytes) -> str | None:
    """Name the readable format whose file starts with `head`, or None."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "tiff"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM") and 12 <= int.from_bytes(head[14:18], "little") <= 256:
        return "bmp"
    if {b"avif", b"avis"} & set(brands(head)):
        return "avif"
    return None


def format_of_suffix(path: PurePath) -> str | None:
    """Name the format that the suffix of `path` stands for, or None."""
    return SUFFIXES.get(path.suffix.lower())


def output_format(source_format: str) -> str:
    """Name the format a restoration is written in when nobody asks for another one.

    The source's own, except for formats that are only read: those become PNG, which loses nothing.
    """
    return source_format if FORMATS[source_format].writable else "png"


def brands(head: bytes) -> list[bytes]:
    """List the brands of an ISO base media file (AVIF, HEIC, MP4) that starts with `head`; [] for others."""
    if head[4:8] != b"ftyp":
        return []
    size = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]

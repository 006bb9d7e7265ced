"""The picture formats that are read and written, what each can hold, and how to recognise them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearair.stores import Address

HEAD_BYTES = 64
"""Number of bytes from the start of a file that `sniff` needs."""


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
    extra: str = ""
    """The extra with the library that reads it, if that is not libvips."""


RAW_SUFFIXES = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw"}
    | {".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".srw"}
)
"""Camera raw files; most are TIFFs whose first picture is a thumbnail, so they must not be read as TIFF."""

_MODULES = {"heif": "pillow_heif", "jxl": "pillow_jxl", "raw": "rawpy"}
"""What each extra installs."""


def is_installed(extra: str) -> bool:
    """Whether an extra of the package is there; its library is not imported."""
    return not extra or find_spec(_MODULES[extra]) is not None


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format("jpeg", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), alpha=False, bits=8, max_side=65535),
        Format("png", (".png",), alpha=True, bits=16, max_side=1_000_000),
        Format("tiff", (".tif", ".tiff", ".btf", ".tf8"), alpha=True, bits=32, max_side=10_000_000),
        Format("webp", (".webp",), alpha=True, bits=8, max_side=16383),
        Format("avif", (".avif",), alpha=True, bits=12, max_side=16384),
        # PNG does all that BMP does in less room; 256 colours of GIF would undo a restoration.
        Format("bmp", (".bmp", ".dib"), alpha=True, bits=8, max_side=1_000_000, writable=False),
        Format("gif", (".gif",), alpha=True, bits=8, max_side=65535, writable=False),
        Format("heic", (".heic", ".heif", ".hif"), True, 12, 65535, writable=False, extra="heif"),
        Format("jxl", (".jxl",), True, 32, 1 << 30, writable=False, extra="jxl"),
        Format("raw", tuple(sorted(RAW_SUFFIXES)), False, 16, 65535, writable=False, extra="raw"),
    )
}
"""Every readable format by name."""

SUFFIXES: dict[str, str] = {
    suffix: each.name for each in FORMATS.values() if is_installed(each.extra) for suffix in each.suffixes
}
"""File suffix (lower case, with the dot) -> format name, for every format that is read here."""

WRITABLE_SUFFIXES: frozenset[str] = frozenset(
    suffix for suffix, name in SUFFIXES.items() if FORMATS[name].writable
)

FOREIGN_SUFFIXES = frozenset(
    {".dds", ".eps", ".exr", ".fit", ".fits", ".hdr", ".ico", ".j2c", ".j2k", ".jp2", ".jpf", ".jpx", ".jxr"}
    | {".pam", ".pbm", ".pcx", ".pdf", ".pfm", ".pgm", ".pnm", ".ppm", ".ps", ".psd", ".qoi", ".svg", ".tga"}
    | {".wdp", ".xcf"}
    | {suffix for each in FORMATS.values() for suffix in each.suffixes}
) - frozenset(SUFFIXES)
"""Picture files that are not read, or not here."""

_JXL_HEADS = (b"\x00\x00\x00\x0cJXL ", b"\xff\x0a")
_RAW_HEADS = (
    *(b"FUJIFILMCCD-RAW", b"IIU\x00", b"IIRO", b"IIRS", b"MMOR", b"FOVb", b"\x00MRM"),
    b"II\x1a\x00\x00\x00HEAPCCDR",
)


def sniff(head: bytes) -> str | None:
    """Name the format, of those in FORMATS, whose file starts with `head`, or None.

    Camera raw files that are TIFFs pass as TIFF.
    """
    if _is_camera_raw(head):
        return "raw"
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
    if any(brand.startswith((b"hei", b"hev")) for brand in brands(head)):
        return "heic"
    return "jxl" if head.startswith(_JXL_HEADS) else None


def missing_extras(suffixes: Collection[str]) -> tuple[str, ...]:
    """Name the extras of the package that would read files of these suffixes and are not there, sorted."""
    missing = {each.extra for each in FORMATS.values() if set(each.suffixes) & set(suffixes)}
    return tuple(sorted(extra for extra in missing if not is_installed(extra)))


def format_of_suffix(path: PurePath | Address) -> str | None:
    """Name the format that the suffix of `path` stands for, or None."""
    return SUFFIXES.get(path.suffix.lower())


def output_format(source_format: str) -> str:
    """Name the default output format of a restoration.

    The source's own, except for formats that are only read: those become PNG, which loses nothing.
    """
    return source_format if FORMATS[source_format].writable else "png"


def brands(head: bytes) -> list[bytes]:
    """List the brands of an ISO base media file (AVIF, HEIC, MP4) that starts with `head`; [] for others."""
    if head[4:8] != b"ftyp":
        return []
    size = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]


def _is_camera_raw(head: bytes) -> bool:
    is_cr2 = head[:4] in (b"II*\x00", b"MM\x00*") and head[8:10] == b"CR"
    return is_cr2 or head.startswith(_RAW_HEADS) or b"crx " in brands(head)

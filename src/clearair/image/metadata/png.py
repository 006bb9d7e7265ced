"""The chunks of a PNG file that libvips loses (PNG third edition, section 11.3)."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace

from clearair.image.metadata import directories, photoshop
from clearair.image.metadata.colours import Colours
from clearair.image.metadata.kept import COLOUR_EXTRAS, Metadata

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp\0"
_TEXTS = {"tEXt", "zTXt", "iTXt"}
_PIXELS = {"IHDR", "PLTE", "tRNS", "IDAT", "IEND"}
_KEPT = COLOUR_EXTRAS | _TEXTS | {"tIME", "pHYs", "bKGD", "sTER", "pCAL", "sCAL"}
"""Chunks that stay valid when pixels change, though some are not marked as safe to copy."""
_CODING = _PIXELS | {"acTL", "fcTL", "fdAT", "iDOT", "sBIT", "hIST"}
"""Chunks that say how pixels are coded; animations have a remark of their own."""
_FIELDS = {"iCCP", "eXIf"}
_BACKGROUND = {0: 2, 2: 6, 4: 2, 6: 6}
"""Length of a background colour by the picture's type of colour."""
_RAW_PROFILE = b"Raw profile type "
_MAX_PROFILE = 64 << 20


def completed(metadata: Metadata, data: bytes) -> Metadata:
    """Add to libvips' metadata of the PNG file `data` what it ignores or truncates."""
    icc = exif = xmp = density = None
    extras: list[tuple[str, bytes]] = []
    for name, body in _chunks(data):
        if name == "iCCP":
            icc = _inflate(body.partition(b"\0")[2][1:])
        elif name == "eXIf":
            exif = body.removeprefix(b"Exif\0\0")
        elif name == "iTXt" and body.startswith(_XMP):
            xmp = _read_xmp(body)
        elif name == "pHYs" and len(body) == 9 and body[8] == 1:
            across, down, _ = struct.unpack(">IIB", body)
            density = (across / 1000, down / 1000)
        elif _is_kept(name):
            extras.append((name, body))
    colours = _colours(extras)
    metadata = replace(metadata, colours=colours)
    if icc and _by_cicp(metadata):
        # cICP outranks a profile, which stays beside it in a PNG alone.
        extras.insert(0, ("iCCP", dict(_chunks(data))["iCCP"]))
        icc = None
    metadata = replace(
        metadata, icc=icc, exif=exif, xmp=xmp, density=density, extras=tuple(extras), colours=colours
    )
    return _with_raw_profiles(metadata)


def unkept(data: bytes) -> tuple[str, ...]:
    """Name data of the file that a change of its pixels invalidates, besides previews in EXIF."""
    names, end = [], len(_SIGNATURE)
    for name, body in _chunks(data):
        end += 12 + len(body)
        if name == "caBX":
            names.append("C2PA signature")
        elif name == "dSIG":
            names.append("signature (dSIG)")
        elif not (name in _CODING or name in _FIELDS or _is_kept(name)):
            names.append(f"chunk {name}")
        if name == "IEND":
            break
    if data[end:].strip(b"\0"):
        names.append(f"{len(data) - end:,} bytes of other data")
    return tuple(dict.fromkeys(names))


def called(name: str, body: bytes) -> tuple[str, ...]:
    """The common name of a piece of `extras`; empty if another field of `Metadata` also holds it."""
    if _raw_profile(name, body)[0] in ("iptc", "8bim"):
        return ()
    if name in _TEXTS:
        key = body.partition(b"\0")[0].decode("latin-1")
        return (f"text {key!r}",)
    if name in ("mDCV", "cLLI"):
        return ("HDR mastering data",)
    if name in COLOUR_EXTRAS or name == "pHYs":
        return ()
    return ({"tIME": "time of change", "bKGD": "background colour"}.get(name, f"chunk {name}"),)


def count_frames(data: bytes) -> int:
    """Count the frames of an animated PNG; 1 for a still one."""
    return next((int.from_bytes(body[:4], "big") for name, body in _chunks(data) if name == "acTL"), 1)


def damaged_chunk(data: bytes) -> str | None:
    """Name the first chunk with a wrong checksum that pixels depend on, or None.

    A chunk that is cut off is not judged.
    """
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        name, end = data[at + 4 : at + 8].decode("latin-1"), at + 8 + length
        if name in _PIXELS and end + 4 <= len(data):
            checksum = int.from_bytes(data[end : end + 4], "big")
            if zlib.crc32(memoryview(data)[at + 4 : end]) != checksum:
                return name
        at = end + 4
    return None


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Return the PNG file `data` with `metadata` in place of its own."""
    pixels = [(name, body) for name, body in _chunks(data) if name in _PIXELS]
    background = _BACKGROUND.get(pixels[0][1][9])
    head = [(name, body) for name, body in metadata.extras if name != "bKGD" or len(body) == background]
    colours = metadata.colours
    if colours and colours.cicp and colours.unsayable and "cICP" not in dict(head):
        primaries, transfer = colours.cicp[:2]
        if max(primaries, transfer) < 256:  # a damaged AVIF may say more, which the chunk cannot
            head.append(("cICP", bytes((primaries, transfer, 0, 1))))
    if metadata.icc:
        # A file must not have both, and the profile says more.
        head = [(name, body) for name, body in head if name != "sRGB"]
        head.insert(0, ("iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.density:
        across, down = (round(value * 1000) for value in metadata.density)
        head.append(("pHYs", struct.pack(">IIB", across, down, 1)))
    if metadata.exif:
        head.append(("eXIf", metadata.exif))
    if metadata.xmp:
        head.append(("iTXt", _XMP + b"\0\0\0\0" + metadata.xmp))
    return _SIGNATURE + b"".join(_chunk(name, body) for name, body in [pixels[0], *head, *pixels[1:]])


def stripped(data: bytes, metadata: Metadata) -> bytes | None:
    """Return the PNG file `data` without metadata, its pixels packed as they were.

    What says how to show them stays: colours, density, significant bits, an orientation that is not 1. None
    for an animation, a file without an end, and one whose profile is a text.
    """
    chunks = list(_chunks(data))
    names = [name for name, _ in chunks]
    if "IEND" not in names or "acTL" in names or (metadata.icc and "iCCP" not in names):
        return None
    kept: list[tuple[str, bytes]] = []
    for name, body in chunks[: names.index("IEND") + 1]:
        if name == "IDAT" and metadata.orientation != 1 and "eXIf" not in dict(kept):
            kept.append(("eXIf", directories.orientation_block(metadata.orientation)))
        if name == "iCCP":
            body = b"ICC profile" + body[body.find(b"\0") :]  # whatever it was called
        density = name == "pHYs" and body[8:] == b"\1"
        if name in _PIXELS | COLOUR_EXTRAS | {"sBIT"} or density:
            kept.append((name, body))
    return _SIGNATURE + b"".join(_chunk(name, body) for name, body in kept)


def _chunks(data: bytes) -> Iterator[tuple[str, bytes]]:
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8].decode("latin-1"), data[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(name: str, body: bytes) -> bytes:
    kind = name.encode("latin-1")
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _is_kept(name: str) -> bool:
    """Whether a chunk stays valid when pixels change: known to, or unknown but marked as safe to copy."""
    unsafe = name[3:4].isupper()
    critical = name[:1].isupper()
    is_name = name.isascii() and name.isalpha()  # in a damaged file it may not be one
    return name in _KEPT or (is_name and not (unsafe or critical or name in _FIELDS))


def _colours(chunks: list[tuple[str, bytes]]) -> Colours | None:
    """The colour space by the chunks; cICP has priority over sRGB, and sRGB over the others (4.3)."""
    said = dict(chunks)
    if len(said.get("cICP", b"")) == 4:
        primaries, transfer, matrix, full_range = said["cICP"]
        return Colours.of_cicp(primaries, transfer, matrix, full_range)
    if "sRGB" in said:
        return None
    return Colours.of_png(said.get("gAMA"), said.get("cHRM"))


def _with_raw_profiles(metadata: Metadata) -> Metadata:
    """Read EXIF, XMP, IPTC and profiles that ImageMagick writes as texts of hexadecimal digits.

    A text that becomes a field is removed; one that a chunk contradicts is ignored.
    """
    extras: list[tuple[str, bytes]] = []
    for name, body in metadata.extras:
        kind, content = _raw_profile(name, body)
        if kind == "app1" and content.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            kind, content = "xmp", content.partition(b"\0")[2]
        kind = {"app1": "exif", "icm": "icc", "8bim": "iptc"}.get(kind, kind)
        if content and kind == "exif" and not metadata.exif:
            metadata = replace(metadata, exif=content.removeprefix(b"Exif\0\0"))
        elif content and kind == "xmp" and not metadata.xmp:
            metadata = replace(metadata, xmp=content)
        elif content and kind == "icc" and not (metadata.icc or _by_cicp(metadata)):
            metadata = replace(metadata, icc=content)
        else:
            if content and kind == "iptc":
                block = content.removeprefix(b"Photoshop 3.0\0")
                others = photoshop.without_iptc(block)
                metadata = replace(
                    metadata, iptc=photoshop.iptc_of(block) or (None if others else block), photoshop=others
                )
            extras.append((name, body))
    return replace(metadata, extras=tuple(extras))


def _by_cicp(metadata: Metadata) -> bool:
    return metadata.colours is not None and metadata.colours.cicp is not None


def _raw_profile(name: str, body: bytes) -> tuple[str, bytes]:
    """Kind in lower case and content of such a text; empty for any other chunk."""
    key, _, rest = body.partition(b"\0")
    if name not in ("tEXt", "zTXt") or not key.startswith(_RAW_PROFILE):
        return "", b""
    text = (_inflate(rest[1:]) or b"") if name == "zTXt" else rest
    parts = re.fullmatch(rb"\s*[^\n]*\n\s*(\d+)\s*\n([0-9a-fA-F\s]*)", text)
    if parts is None:
        return "", b""
    digits = re.sub(rb"\s", b"", parts[2])
    content = bytes.fromhex(digits[: len(digits) // 2 * 2].decode())
    whole = len(content) == int(parts[1])
    return key.removeprefix(_RAW_PROFILE).decode("latin-1").lower(), content if whole else b""


def _read_xmp(body: bytes) -> bytes | None:
    """The text of an iTXt chunk: compression flag and method, language, translated keyword, text."""
    compressed, rest = body[len(_XMP) : len(_XMP) + 1], body[len(_XMP) + 2 :]
    text = rest.split(b"\0", 2)[-1]
    return _inflate(text) if compressed == b"\1" else text


def _inflate(data: bytes) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        return unpacker.decompress(data, _MAX_PROFILE) or None
    except zlib.error:
        return None

"""Metadata and checks of AVIF files that libvips lacks (ISO/IEC 23008-12; ISO/IEC 14496-12)."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.image.metadata import boxes
from clearair.image.metadata.colours import Colours

_ILOC = b"\0\0\0\0\x44\x40"
"""Start of an `iloc` as libheif writes it: version 0; offsets and lengths of four bytes."""
_PARTS = frozenset({"ftyp", "meta", "mdat", "idat", "moov", "free", "skip", "wide", "styp", "pdin"})
"""Boxes of the picture, of further frames, and of nothing."""
_BEHIND = {"mpvd": "video (motion photo)", "sefd": "Samsung data"}
_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


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


def colours(data: bytes) -> Colours | None:
    """The colours of the first picture by its `nclx`; None if it has none, or it is unspecified.

    The range is left out: decoders expand a limited one, `in_full_range` what they leave.
    """
    numbers = _nclx(data)
    return Colours.of_cicp(numbers[0], numbers[1]) if numbers else None


def is_monochrome(data: bytes) -> bool:
    """Whether the first picture has one channel beside its transparency."""
    settings = boxes.properties(data).get("av1C", b"")
    return len(settings) > 2 and bool(settings[2] & 0x10)


def in_full_range(stored: NDArray[Any], data: bytes) -> NDArray[Any]:
    """Return (H, W, C) as decoded by libvips with the colour of a monochrome file as one channel, 0 to white.

    libheif does not expand the limited range of a file without colour.
    """
    if not is_monochrome(data) or stored.shape[2] < 3:
        return stored
    grey, alpha = stored[..., :1], stored[..., 3:]
    numbers = _nclx(data)
    if numbers and not numbers[2]:
        step = 1 if stored.dtype == np.uint8 else 256
        full = np.iinfo(stored.dtype).max
        light = (grey.astype(np.float64) - 16 * step) * (full / (219 * step))
        grey = np.clip(light + 0.5, 0, full).astype(stored.dtype)
    return np.concatenate([grey, alpha], axis=2)


def unkept(data: bytes) -> tuple[str, ...]:
    """Name data of the file that a change of its pixels invalidates, besides previews in EXIF."""
    names: list[str] = []
    meta = boxes.meta(data)
    kinds = {kind for kind, _, _ in boxes.children(data, meta, "iref")}
    if "thmb" in kinds:
        names.append("thumbnail")
    properties = boxes.children(data, meta, "iprp", "ipco")
    helpers = b"".join(data[start:end] for kind, start, end in properties if kind == "auxC")
    if b"tmap" in boxes.item_kinds(data).values() or b"hdrgainmap" in helpers:
        names.append("HDR gain map")
    if b":depth" in helpers:
        names.append("depth map")
    after = 0
    for kind, start, after in boxes.boxes(data):  # noqa: B007
        if kind == "uuid":
            names.append("C2PA signature" if data[start : start + 16] == _C2PA else "data of another program")
        elif kind in _BEHIND:
            names.append(_BEHIND[kind])
        elif kind not in _PARTS:
            names.append(f"box {kind!a}".replace("'", ""))
    if data[after:].strip(b"\0"):
        names.append(f"{len(data) - after:,} bytes of other data")
    return tuple(dict.fromkeys(names))


def with_nclx(data: bytes, primaries: int, transfer: int) -> bytes | None:
    """Return the AVIF file `data`, as libheif writes it, with the meaning of its colours by H.273.

    A `colr` property is added to those of the first picture; what stands behind moves. None for a file whose
    tables have other widths than libheif gives them.
    """
    meta = boxes.meta(data)
    containers = {kind: (start, end) for kind, start, end in boxes.children(data, meta, "iprp")}
    defined = boxes.children(data, meta, "iprp", "ipco")
    for kind, at, _ in defined:
        if kind == "colr" and data[at : at + 4] == b"nclx":
            return data[: at + 4] + struct.pack(">HH", primaries, transfer) + data[at + 8 :]
    if not {"ipco", "ipma"} <= set(containers):
        return None
    (start, end), (used, _) = containers["ipco"], containers["ipma"]
    first = _first_association(data, used)
    # libheif codes by the matrix of BT.601 and in full range.
    box = struct.pack(">I4s4sHHHB", 19, b"colr", b"nclx", primaries, transfer, 6, 0x80)
    more = len(box) + 1
    edited = bytearray(data)
    if first is None or not _move_items(edited, meta, more):
        return None
    for at, growth in ((meta[0] - 12, more), (start - 16, more), (start - 8, len(box)), (used - 8, 1)):
        (size,) = struct.unpack_from(">I", data, at)
        struct.pack_into(">I", edited, at, size + growth)
    edited[first] += 1
    edited.insert(first + 1 + data[first], len(defined) + 1)
    edited[end:end] = box
    return bytes(edited)


def _first_association(data: bytes, at: int) -> int | None:
    """Where the `ipma` box with its content at `at` counts the properties of the first picture."""
    if data[at : at + 4] != bytes(4):  # version 0; items have two bytes, properties one
        return None
    place = at + 8
    for _ in range(int.from_bytes(data[at + 4 : at + 8], "big")):
        if data[place : place + 2] == boxes.primary(data).to_bytes(2, "big"):
            return place + 2
        place += 3 + data[place + 2]
    return None


def _move_items(edited: bytearray, meta: tuple[int, int], by: int) -> bool:
    """Adjust the offsets in `iloc` for moved data, and return whether that was possible."""
    places = edited.find(b"iloc", *meta) + 4
    if edited[places : places + 6] != _ILOC:
        return False
    for number in range(int.from_bytes(edited[places + 6 : places + 8], "big")):
        at = places + 8 + 18 * number + 4
        (base,) = struct.unpack_from(">I", edited, at)
        struct.pack_into(">I", edited, at, base + by)
    return True


def with_exif(data: bytes, exif: bytes) -> bytes:
    """Return the AVIF file `data`, which has EXIF by libvips' own model, with `exif` in its place.

    It is appended and the item's entry in `iloc` (8.11.3) pointed to it, so that nothing else moves. A file
    whose `iloc` has other widths than libheif gives it keeps the EXIF that it has.
    """
    places, kind = data.index(b"iloc") + 4, data.index(b"Exif", data.index(b"iinf"))
    if data[places : places + 6] != _ILOC:
        return data
    number, count = data[kind - 4 : kind - 2], int.from_bytes(data[places + 6 : places + 8], "big")
    entries = range(places + 8, places + 8 + 18 * count, 18)
    at = next(at for at in entries if data[at : at + 2] == number)
    body = bytes(4) + exif  # no offset to the byte order mark
    edited = bytearray(data)
    struct.pack_into(">IHII", edited, at + 4, 0, 1, len(data) + 8, len(body))
    return bytes(edited) + struct.pack(">I4s", len(body) + 8, b"mdat") + body


def _nclx(data: bytes) -> tuple[int, int, bool] | None:
    """Primaries, transfer and full range by the `nclx` of the first picture."""
    body = boxes.properties(data).get("colr nclx", b"")
    if len(body) < 11:
        return None
    primaries, transfer, _, flags = struct.unpack_from(">HHHB", body, 4)
    return primaries, transfer, bool(flags & 0x80)

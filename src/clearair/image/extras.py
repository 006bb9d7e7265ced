"""Formats that need a separate library, each an extra of the package: HEIC, JPEG XL and camera raw.

Shapes: H x W pixels, C channels, 1 to 4.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ClearAirError
from clearair.image import formats
from clearair.image.metadata import Metadata, avif, tiff

CheckSides = Callable[[int, int], None]
"""Raises when a picture of this width and height is too large."""
_JXL_SIGNATURE = b"\xff\x0a"
_RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height in a JPEG XL header."""


class BrokenError(Exception):
    """The library cannot decode the file; the message is the library's."""


@dataclass(frozen=True)
class Decoded:
    """What a library makes of a file."""

    stored: NDArray[Any]
    """(H, W, C) upright, uint8, uint16 or float32."""
    metadata: Metadata
    bits: int
    """Bits a channel in the file."""
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """Data of the file that restored files lack."""
    jpeg: bytes | None = None
    """The JPEG file that was repacked into this one; it is read instead."""


def install_hint(kind: str) -> str | None:
    """Advice for a file of this format if the library that reads it is missing, or None."""
    extra = formats.FORMATS[kind].extra
    if not extra or formats.is_installed(extra):
        return None
    return f"pip install 'clearair[{extra}]' adds a reader"


def decode(kind: str, data: bytes, check_size: CheckSides) -> Decoded:
    """Decode a file of one of the formats that need an extra, which is installed.

    Raises BrokenError, and whatever `check_size` raises.
    """
    readers = {"heic": _decode_heic, "jxl": _decode_jxl, "raw": _decode_raw}
    refusals: list[BaseException] = []

    def check(width: int, height: int) -> None:
        try:
            check_size(width, height)
        except BaseException as refusal:
            refusals.append(refusal)
            raise

    try:
        return readers[kind](data, check)
    except (ClearAirError, BrokenError, MemoryError):
        raise
    except Exception as error:  # for damaged files the libraries raise IndexError, RuntimeError and others
        if error in refusals:
            raise
        said = error.args[0] if error.args else type(error).__name__
        raise BrokenError(
            said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        ) from error


def _decode_heic(data: bytes, check_size: CheckSides) -> Decoded:
    import pillow_heif

    check_size(*avif.announced_size(data))
    file = pillow_heif.open_heif(data, convert_hdr_to_8bit=False)
    stored = np.array(file)
    info = file.info
    exif = (info.get("exif") or b"").removeprefix(b"Exif\0\0") or None
    icc = info.get("icc_profile")
    colours = None if icc else avif.colours(data)
    metadata = Metadata(icc=icc, exif=exif, xmp=info.get("xmp") or None, colours=colours)
    left_out = avif.unkept(data)
    if (count := len(file)) > 1:
        left_out = (f"{count - 1} of {count} pictures", *left_out)
    bits = int(info.get("bit_depth", 8))
    # The decoder has turned the pixels already.
    return Decoded(_with_bands(stored), metadata.upright(), bits, left_out=left_out)


def _decode_jxl(data: bytes, check_size: CheckSides) -> Decoded:
    from pillow_jxl import Decoder

    check_size(*jxl_size(data))
    is_jpeg, info, pixels, icc, boxes = Decoder(num_threads=1)(data)
    if is_jpeg:
        return Decoded(np.zeros((1, 1, 1), np.uint8), Metadata(), 8, jpeg=bytes(pixels))
    depth = {"I;16": np.uint16, "F": np.float32}.get(info.mode, np.uint8)
    stored = np.frombuffer(pixels, depth)
    if stored.size % (info.width * info.height):
        raise BrokenError(f"samples of the kind {info.mode} cannot be read")
    texts = {box.box_type: bytes(box.data) for box in boxes}
    exif = texts.get(b"Exif", b"")
    if exif[4:8] in (b"II*\0", b"MM\0*"):  # after the offset of the byte order mark
        exif = exif[4:]
    metadata = Metadata(icc=bytes(icc) or None, exif=exif or None, xmp=texts.get(b"xml "))
    notes = () if depth != np.uint8 else ("JPEG XL is read with 8 bits a channel",)
    shaped = stored.reshape(info.height, info.width, -1)
    return Decoded(shaped, metadata.upright(), 8 * shaped.itemsize, notes)


def _decode_raw(data: bytes, check_size: CheckSides) -> Decoded:
    import rawpy

    with rawpy.imread(io.BytesIO(data)) as raw:
        check_size(raw.sizes.width, raw.sizes.height)
        stored = raw.postprocess(output_bps=16, use_camera_wb=True)
    notes = ("camera raw is developed as sRGB with the camera's white balance",)
    # Most are TIFFs by their tags. The developer has turned the pixels already.
    exif = tiff.completed(Metadata(), data).exif
    metadata = Metadata(exif=exif).upright()
    return Decoded(np.ascontiguousarray(stored), metadata, 16, notes, () if exif else ("EXIF",))


def jxl_size(data: bytes) -> tuple[int, int]:
    """Return the width and height that a JPEG XL file announces (ISO/IEC 18181-1, SizeHeader), or 0 and 0."""
    at = 0 if data.startswith(_JXL_SIGNATURE) else data.find(_JXL_SIGNATURE, 12)
    if at < 0:
        return 0, 0
    bits = _Bits(int.from_bytes(data[at + 2 : at + 18], "little"))
    small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if small else bits.take((9, 13, 18, 30)[bits.take(2)]) + 1

    height = side()
    across, down = _RATIOS[bits.take(3)]
    return (height * across // down if across else side()), height


class _Bits:
    """Numbers packed from the lowest bit on."""

    def __init__(self, packed: int) -> None:
        self.packed = packed

    def take(self, count: int) -> int:
        """Return the next `count` bits as a number."""
        number = self.packed & ((1 << count) - 1)
        self.packed >>= count
        return number


def _with_bands(stored: NDArray[Any]) -> NDArray[Any]:
    return stored[..., None] if stored.ndim == 2 else stored

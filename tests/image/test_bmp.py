"""Bitmaps as others write them, and as nobody should."""

import io
import struct

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms
from skimage import data

from clearair.errors import ImageError
from clearair.image import encode_photo, read_photo

COFFEE = data.coffee()[:30, :37]  # a width whose rows need padding


def bmp_of(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "bmp", dpi=(300, 300))
    return file.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_a_bitmap_has_the_pixels_that_another_reader_sees(mode):
    image = Image.fromarray(COFFEE).convert(mode)
    with pytest.raises(pyvips.Error, match="not in a known format"):
        pyvips.Image.new_from_buffer(bmp_of(image), "")
    photo = read_photo(bmp_of(image))
    assert np.array_equal(photo.pixels, np.asarray(image.convert("RGB")))
    assert photo.alpha is None
    assert photo.metadata.density == pytest.approx((11.811, 11.811))


def bitmap(width: int, height: int, bits: int, rows: bytes, packing: int = 0, after: bytes = b"") -> bytes:
    start = 54 + len(after)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, packing, len(rows), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + info + after + rows


def test_rows_may_run_from_the_top_and_pixels_have_16_bits():
    red, green = 0b11111_000000_00000, 0b00000_111111_00000
    rows = struct.pack("<4H", red, green, 0, 0xFFFF)
    masks = struct.pack("<III", 0b11111 << 11, 0b111111 << 5, 0b11111)
    photo = read_photo(bitmap(2, -2, 16, rows, packing=3, after=masks))
    assert photo.pixels.tolist() == [[[255, 0, 0], [0, 255, 0]], [[0, 0, 0], [255, 255, 255]]]


def test_a_bitmap_keeps_its_transparency_and_becomes_png():
    alpha = np.arange(COFFEE.shape[0] * COFFEE.shape[1], dtype=np.uint8).reshape(COFFEE.shape[:2])
    rows = np.ascontiguousarray(np.dstack([COFFEE[..., ::-1], alpha])[::-1]).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    content = bytearray(bitmap(37, 30, 32, rows, packing=3, after=masks))
    content[14] = 56  # the size of a header that has a mask of alpha
    photo = read_photo(bytes(content))
    assert np.array_equal(photo.alpha, alpha)
    assert np.array_equal(photo.pixels, COFFEE)
    assert encode_photo(photo).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bitmap(4, 4, 8, bytes(16), packing=1), "run-length packed BMP"),
        (bitmap(4, 4, 24, bytes(40)), "damaged or ends early"),
        (bitmap(4, 4, 8, b"\xff" * 16, after=bytes(12)), "damaged or ends early"),
        (bitmap(0, 4, 24, b""), "damaged or ends early"),
        (bitmap(4, 4, 24, b"")[:30], "damaged or ends early"),
        (bitmap(30_000, 30_000, 24, b""), "more than the limit"),
    ],
)
def test_a_bitmap_that_cannot_be_read_is_named(content, message):
    with pytest.raises(ImageError, match=message):
        read_photo(content)


@pytest.mark.parametrize("cut", [0, 1])
def test_the_profile_in_a_bitmap_is_kept(cut):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rows = bytes(range(48))
    header = struct.pack("<IiiHHIIiiII", 124, 4, 4, 1, 24, 0, 48, 0, 0, 0, 0) + bytes(16) + b"DEBM"
    header = header.ljust(112, b"\0") + struct.pack("<III", 124 + 48, len(profile), 0)
    content = struct.pack("<2sIHHI", b"BM", 0, 0, 0, 14 + 124) + header + rows + profile
    photo = read_photo(content[: len(content) - cut])
    assert photo.metadata.icc == (None if cut else profile)
    assert read_photo(encode_photo(photo)).metadata.icc == photo.metadata.icc

"""Whatever stands beside the pixels, it is looked at without an error."""

import io
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from clearair.image.metadata import Metadata, avif, inventory, jpeg, photoshop, png, xmp

STARTS = {
    "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xda\0\x02ab\xff\xd9",
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\x04cICP",
    "tiff": b"II*\0\x08\0\0\0\1\0",
    "webp": b"RIFF\x20\0\0\0WEBPVP8X",
    "gif": b"GIF89a\1\0\1\0\x80\0\0" + bytes(6) + b"\x21\xfe",
    "avif": b"\0\0\0\x0cftypavif",
}


def saved_avif() -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), 99).save(file, "avif", subsampling="4:0:0")
    return file.getvalue()


AVIF = saved_avif()


@pytest.mark.parametrize("kind", STARTS)
@given(noise=st.binary(max_size=300))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_survived(kind, noise):
    inventory.unkept(STARTS[kind] + noise, kind, Metadata())
    inventory.unkept(noise, kind, Metadata())


@given(at=st.integers(0, len(AVIF) - 1), value=st.integers(0, 255), cut=st.integers(0, len(AVIF)))
@settings(deadline=None, max_examples=300)
def test_an_avif_with_wrong_bytes_is_survived(at, value, cut):
    content = (AVIF[:at] + bytes([value]) + AVIF[at + 1 :])[:cut]
    avif.colours(content)
    avif.is_monochrome(content)
    avif.unkept(content)


@given(st.binary(max_size=200), st.sampled_from([b"", b"8BIM\x04\x04\0\0", b"8BIM\x04\x0c\x03abc"]))
def test_blocks_of_photoshop_with_any_bytes_are_survived(noise, start):
    block = start + noise
    assert photoshop.iptc_of(block) is None or photoshop.iptc_of(block) in block
    assert len(photoshop.without_thumbnail(block)) <= len(block) + 1
    jpeg.called("ed", block)
    png.called("zTXt", b"Raw profile type exif\0" + block)
    xmp.for_new_pixels(block)


def test_a_forged_packet_costs_no_time():
    declared = b'xmlns:c="http://ns.google.com/photos/1.0/container/" '
    start = time.perf_counter()
    for filling in (b"<c:Item ", b"<c:Item>", b"        ", b" c:Item="):
        assert xmp.for_new_pixels(declared + filling * 50_000)
    assert time.perf_counter() - start < 3

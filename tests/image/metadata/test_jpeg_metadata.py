"""What plain libvips loses of a JPEG, beside what is kept of it."""

import io
import struct

import pytest
import pyvips
from PIL import Image

from clearair.image import Metadata, Photo, encode_photo, losses, read_photo

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description a:b="c"/></x:xmpmeta>'
LONG_XMP = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + struct.pack(">II", 10, 0) + b"0123456789"
IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x07\x1c\x02\x05\0\x02Hi\0"


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def starting_with(content: bytes, *segments: bytes) -> bytes:
    return content[:2] + b"".join(segments) + content[2:]


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_libvips_takes_the_resolution_of_exif_for_that_of_the_file(saved):
    block = Image.Exif()
    block[282] = block[283] = 72.0
    block[296] = 2
    content = saved("jpeg", exif=block, dpi=(300, 300))
    assert pyvips.Image.new_from_buffer(content, "").xres * 25.4 == pytest.approx(72)
    assert read_photo(content).metadata.density == pytest.approx((300 / 25.4, 300 / 25.4))
    assert opened(encode_photo(read_photo(content))).info["dpi"] == (300, 300)


def test_libvips_writes_no_resolution_outside_exif(saved, by_libvips_alone):
    content = saved("jpeg", dpi=(300, 150))
    assert "jfif_density" not in opened(by_libvips_alone(content, "jpeg")).info
    assert opened(encode_photo(read_photo(content))).info["jfif_density"] == (300, 150)


@pytest.mark.parametrize(("unit", "per_mm"), [(0, None), (1, 1 / 25.4), (2, 1 / 10)])
def test_the_resolution_has_the_unit_that_the_file_says(saved, unit, per_mm):
    content = saved("jpeg", dpi=(300, 300))
    at = content.index(b"JFIF\0") + 7
    content = content[:at] + bytes([unit]) + content[at + 1 :]
    expected = per_mm and pytest.approx((300 * per_mm, 300 * per_mm))
    assert read_photo(content).metadata.density == expected


def test_libvips_takes_an_extended_xmp_for_the_packet(saved):
    packet = b"http://ns.adobe.com/xap/1.0/\0" + XMP
    content = starting_with(saved("jpeg"), segment(0xE1, LONG_XMP), segment(0xE1, packet))
    assert pyvips.Image.new_from_buffer(content, "").get("xmp-data").startswith(b"AAAA")
    assert read_photo(content).metadata.xmp == XMP
    written = encode_photo(read_photo(content))
    assert segment(0xE1, LONG_XMP) in written
    assert segment(0xE1, packet) in written


def test_libvips_leaves_out_a_packet_that_would_still_fit(saved, coffee):
    packet = b"<x:xmpmeta>".ljust(65_400) + b"</x:xmpmeta>"
    image = pyvips.Image.new_from_array(coffee)
    image.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
    assert packet not in bytes(image.jpegsave_buffer(keep="all"))
    photo = Photo(coffee, format="jpeg", metadata=Metadata(xmp=packet))
    assert read_photo(encode_photo(photo)).metadata.xmp == packet
    assert losses(photo, "jpeg") == ()


def test_what_no_segment_holds_is_left_out_and_named(coffee):
    photo = Photo(coffee, format="jpeg", metadata=Metadata(exif=b"II*\0" + bytes(70_000), xmp=b" " * 70_000))
    assert [note.split()[0] for note in losses(photo, "jpeg")] == ["EXIF", "XMP"]
    assert len(encode_photo(photo)) < 60_000


def test_libvips_loses_comments_and_all_but_one_block_of_photoshop(saved, by_libvips_alone):
    pieces = [segment(0xED, IPTC), segment(0xED, IPTC + b"more"), segment(0xFE, b"at sea")]
    content = starting_with(saved("jpeg"), *pieces)
    alone, ours = by_libvips_alone(content, "jpeg"), encode_photo(read_photo(content))
    assert [piece in alone for piece in pieces] == [True, False, False]
    assert all(piece in ours for piece in pieces)


def test_libvips_rebuilds_exif(saved, by_libvips_alone, exif):
    content = saved("jpeg", exif=b"Exif\0\0" + exif)
    assert segment(0xE1, b"Exif\0\0" + exif) not in by_libvips_alone(content, "jpeg")
    assert segment(0xE1, b"Exif\0\0" + exif) in encode_photo(read_photo(content))


def test_libvips_drops_an_rgb_profile_of_a_grey_picture(saved, by_libvips_alone, coffee, srgb):
    content = saved("jpeg", coffee[..., 0], icc_profile=srgb)
    assert "icc_profile" not in opened(by_libvips_alone(content, "jpeg")).info
    written = opened(encode_photo(read_photo(content)))
    assert (written.mode, written.info["icc_profile"]) == ("L", srgb)


def test_libvips_cuts_a_profile_of_more_than_a_hundred_segments(coffee, srgb):
    profile = srgb + bytes(6_600_000)
    content = encode_photo(Photo(coffee, format="jpeg", metadata=Metadata(icc=profile)))
    assert len(pyvips.Image.new_from_buffer(content, "").get("icc-profile-data")) < len(profile)
    assert read_photo(content).metadata.icc == profile


def test_libvips_does_not_say_that_more_pictures_follow(saved):
    content = starting_with(saved("jpeg"), segment(0xE2, b"MPF\0II*\0\x08\0\0\0")) + saved("jpeg") * 2
    fields = pyvips.Image.new_from_buffer(content, "").get_fields()
    assert not any("mpf" in name.lower() or "gainmap" in name for name in fields)
    assert read_photo(content).notes == ("left out: 2 further pictures",)
    assert read_photo(saved("jpeg")).notes == ()

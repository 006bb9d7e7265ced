"""What plain libvips loses of a TIFF, beside what is kept of it."""

import io
import struct

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from clearair.errors import ImageError
from clearair.image import Metadata, Photo, encode_photo, read_photo
from clearair.image.metadata.directories import (
    EXIF_IFD,
    Directory,
    Tag,
    build_block,
    extent,
    read_directory,
    replace_first_directory,
)

ARTIST, COPYRIGHT, IPTC, PHOTOSHOP = 315, 33432, 33723, 34377


@pytest.fixture
def described(saved):
    """A file with EXIF, a copyright and blocks of IPTC and Photoshop."""
    content = saved("tiff")
    tags = {
        **read_directory(content).tags,
        ARTIST: Tag.opaque(b"someone\0", kind=2),
        COPYRIGHT: Tag.opaque(b"(c) someone\0", kind=2),
        IPTC: Tag.opaque(b"\x1c\x02\x05\0\x01H"),
        PHOTOSHOP: Tag.opaque(b"8BIM\x04\x04\0\0\0\0\0\0"),
    }
    details = Directory({0x9003: Tag.opaque(b"2020:02:03 04:05:06\0", kind=2)})
    return replace_first_directory(content, Directory(tags, {EXIF_IFD: details}))


def test_libvips_loses_exif_and_the_tags_of_the_first_directory(described, by_libvips_alone):
    before, alone, ours = (
        read_directory(each)
        for each in (described, by_libvips_alone(described, "tiff"), encode_photo(read_photo(described)))
    )
    assert not alone.children
    assert not {ARTIST, COPYRIGHT} & set(alone.tags)
    assert ours.children == before.children
    assert all(ours.tags[tag] == before.tags[tag] for tag in (ARTIST, COPYRIGHT))


def test_libvips_writes_a_part_of_iptc_only(described, by_libvips_alone):
    alone = read_directory(by_libvips_alone(described, "tiff")).tags
    assert len(alone[IPTC].data) < len(read_directory(described).tags[IPTC].data)
    ours = read_directory(encode_photo(read_photo(described))).tags
    assert (ours[IPTC].data, ours[PHOTOSHOP].data) == (b"\x1c\x02\x05\0\x01H", b"8BIM\x04\x04\0\0\0\0\0\0")


def test_libvips_turns_iptc_round_that_a_big_endian_file_calls_numbers(coffee):
    tifffile = pytest.importorskip("tifffile")
    block = b"\x1c\x02\x05\0\x02Hi\0"
    file = io.BytesIO()
    numbers = struct.unpack(">2I", block)
    tifffile.imwrite(file, coffee, byteorder=">", metadata=None, extratags=[(IPTC, 4, 2, numbers, True)])
    assert pyvips.Image.new_from_buffer(file.getvalue(), "").get("iptc-data") == b"\0\x05\x02\x1c\0iH\x02"
    assert read_directory(encode_photo(read_photo(file.getvalue()))).tags[IPTC].data == block


def test_libvips_makes_up_a_resolution(saved, by_libvips_alone):
    content = saved("tiff")
    alone, ours = (
        Image.open(io.BytesIO(each))
        for each in (by_libvips_alone(content, "tiff"), encode_photo(read_photo(content)))
    )
    assert {282, 283} <= set(alone.tag_v2)
    assert not {282, 283, 296} & set(ours.tag_v2)


@pytest.mark.parametrize("resolution", [300, 72.27, 1200])
def test_a_resolution_is_written_as_it_was_read(saved, resolution):
    content = saved("tiff", dpi=(resolution, 150))
    written = Image.open(io.BytesIO(encode_photo(read_photo(content))))
    assert (written.tag_v2[282], written.tag_v2[283]) == (resolution, 150)


def test_libvips_drops_an_rgb_profile_of_a_grey_picture(saved, by_libvips_alone, coffee, srgb):
    content = saved("tiff", coffee[..., 0], icc_profile=srgb)
    assert "icc_profile" not in Image.open(io.BytesIO(by_libvips_alone(content, "tiff"))).info
    written = Image.open(io.BytesIO(encode_photo(read_photo(content))))
    assert (written.mode, written.info["icc_profile"]) == ("L", srgb)


@pytest.mark.parametrize("packing", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_libvips_does_not_say_how_the_file_was_packed(saved, packing):
    content = saved("tiff", compression=packing)
    fields = pyvips.Image.new_from_buffer(content, "").get_fields()
    assert not [name for name in fields if "compress" in name]
    assert Image.open(io.BytesIO(encode_photo(read_photo(content)))).info["compression"] == packing


@pytest.mark.parametrize("tags", [{50706: b"\1\4\0\0"}, {254: 1}])
def test_libvips_takes_the_preview_in_a_camera_raw_file_for_the_picture(saved, tags):
    content = saved("tiff", tiffinfo=tags)
    assert pyvips.Image.new_from_buffer(content, "").avg() > 0
    with pytest.raises(ImageError, match="RAW file"):
        read_photo(content)


def test_a_resolution_that_only_exif_states_is_kept(coffee):
    block = build_block(
        Directory(
            {282: Tag.rational(72), 283: Tag.rational(72), 296: Tag.short(2), 271: Tag.opaque(b"M\0", kind=2)}
        )
    )
    written = encode_photo(Photo(coffee, format="jpeg", metadata=Metadata(exif=block)), "tiff")
    assert Image.open(io.BytesIO(written)).info["dpi"] == (72, 72)


def test_an_orientation_without_sense_is_written_as_upright(coffee):
    block = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHIHH", 274, 3, 1, 77, 0) + bytes(4)
    written = encode_photo(Photo(coffee, format="tiff", metadata=Metadata(exif=block)))
    assert read_directory(written).tags[274].integers() == (1,)


@pytest.mark.parametrize("orientation", [0, 9])
def test_a_file_is_read_whose_orientation_makes_no_sense(coffee, orientation):
    file = io.BytesIO()
    tifffile.imwrite(file, coffee, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    assert np.array_equal(read_photo(file.getvalue()).pixels, coffee)


def layouts() -> dict[str, dict[str, object]]:
    """Ways to write a TIFF file, by name."""
    return {
        "strips": {},
        "big-endian": {"byteorder": ">"},
        "BigTIFF": {"bigtiff": True},
        "BigTIFF, big-endian": {"bigtiff": True, "byteorder": ">"},
        "tiles": {"tile": (16, 16)},
        "deflated strips": {"compression": "zlib", "rowsperstrip": 7},
        "described": {
            "description": "long enough to stand elsewhere",
            "extratags": [(65000, 7, 9, b"123456789", True)],
        },
    }


@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize("trailer", [b"hi", b"PK\5\6" + bytes(18), bytes(2_000_000) + b"x"])
def test_what_stands_behind_the_last_piece_is_named(coffee, tmp_path, layout, trailer):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, coffee, photometric="rgb", **layouts()[layout])
    content = path.read_bytes()
    assert read_photo(content).left_out == ()
    assert read_photo(content + bytes(5)).left_out == ()
    photo = read_photo(content + trailer)
    assert photo.left_out == (f"{len(trailer):,} bytes of other data",)
    assert photo.notes == (f"left out: {len(trailer):,} bytes of other data",)


def test_pages_pictures_in_sub_directories_and_exif_are_referred_to(coffee, described, saved, tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(coffee, photometric="rgb", subifds=1)
        file.write(coffee[::2, ::2], photometric="rgb")
        file.write(coffee[::-1], photometric="rgb")
    pages = saved("tiff", save_all=True, append_images=[Image.fromarray(coffee)] * 2)
    for content in (path.read_bytes(), pages, described, encode_photo(read_photo(described))):
        before = read_photo(content).left_out
        assert "other data" not in "".join(before)
        *others, behind = read_photo(content + b"trailer").left_out
        assert tuple(others) == before
        assert behind.endswith("bytes of other data")


def test_nothing_is_said_of_the_end_of_a_file_whose_pieces_have_no_length(saved):
    content = saved("tiff")
    tags = dict(read_directory(content).tags)
    del tags[279]
    lengthless = replace_first_directory(content, Directory(tags)) + b"trailer"
    assert extent(lengthless) == len(lengthless)


def test_directories_that_go_round_or_overlap_come_to_an_end(saved):
    content = bytearray(saved("tiff"))
    start = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, start)[0]
    struct.pack_into("<I", content, start + 2 + 12 * count, start)
    assert extent(bytes(content) + b"trailer") == len(content)
    many = struct.pack("<2sHI", b"II", 42, 8)
    for index in range(200):
        many += struct.pack("<HHHIIHHIII", 2, 273, 4, 4000, 0, 279, 4, 4000, 0, 8 + 30 * (index + 1))
    assert extent(many) == len(many)

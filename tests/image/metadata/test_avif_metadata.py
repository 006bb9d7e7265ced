"""What plain libvips loses of an AVIF, beside what is kept of it."""

import io
import struct

import pytest
import pyvips
from PIL import Image

from clearair.errors import ImageError
from clearair.image import Metadata, Photo, encode_photo, read_photo


def test_libvips_rebuilds_exif(coffee, exif):
    image = pyvips.Image.new_from_array(coffee).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.blob_type, "exif-data", b"Exif\0\0" + exif)
    alone = bytes(image.heifsave_buffer(compression="av1", keep="all"))
    photo = Photo(coffee, format="avif", metadata=Metadata(exif=exif))
    assert exif not in alone
    assert read_photo(encode_photo(photo)).metadata.exif == exif
    assert Image.open(io.BytesIO(encode_photo(photo))).info["exif"].removeprefix(b"Exif\0\0") == exif


def test_libvips_makes_exif_up(coffee):
    image = pyvips.Image.new_from_array(coffee).copy(interpretation="srgb")
    assert b"Exif" in bytes(image.heifsave_buffer(compression="av1", keep="all"))
    assert read_photo(encode_photo(Photo(coffee, format="avif"))).metadata == Metadata()


def test_libvips_does_not_count_the_frames_of_a_sequence(saved, coffee):
    content = saved("avif", save_all=True, append_images=[Image.fromarray(coffee[::-1])] * 2)
    assert pyvips.Image.heifload_buffer(content).get("n-pages") == 1
    assert "only the first of 3 frames" in read_photo(content).notes[0]


def test_libvips_prints_a_complaint_about_an_absurd_size(saved, capfd):
    content = bytearray(saved("avif"))
    struct.pack_into(">II", content, content.index(b"ispe") + 8, 0x6E000028, 40)
    with pytest.raises(ImageError, match="more than the limit"):
        read_photo(bytes(content))
    assert capfd.readouterr().err == ""
    with pytest.raises(pyvips.Error):
        pyvips.Image.new_from_buffer(bytes(content), "").avg()
    assert capfd.readouterr().err

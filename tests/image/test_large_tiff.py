"""TIFF files too large to be in memory beside their pixels: read and written piece by piece, to the same."""

from __future__ import annotations

import numpy as np
import pytest

from clearair.image import Photo, read_photo, sources, write_photo, writing
from clearair.image.metadata import directories


@pytest.fixture
def photo(tmp_path):
    """A TIFF file with a profile, EXIF, a density and tags of its own, as a photo."""
    import pyvips

    pixels = np.random.default_rng(0).integers(0, 256, (60, 70, 3), np.uint8)
    image = pyvips.Image.new_from_memory(pixels.data, 70, 60, 3, "uchar").copy(interpretation="srgb")
    image = image.copy(xres=11.811, yres=11.811)
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Make", "Camera (Camera, ASCII, 7 components, 7 bytes)")
    image.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    image.icc_transform("srgb", input_profile="srgb").tiffsave(str(tmp_path / "a.tif"), compression="lzw")
    return tmp_path / "a.tif"


def test_a_file_that_is_read_piece_by_piece_is_the_same_photo(photo, monkeypatch):
    whole = read_photo(photo)
    monkeypatch.setattr(sources, "_LARGE", 0)
    parts = read_photo(photo)
    np.testing.assert_array_equal(parts.pixels, whole.pixels)
    assert parts.metadata == whole.metadata
    assert parts.metadata.icc
    assert parts.metadata.xmp
    assert (parts.compression, parts.notes, parts.left_out) == (
        whole.compression,
        whole.notes,
        whole.left_out,
    )


def test_a_file_that_is_written_row_by_row_is_the_same_file(photo, tmp_path, monkeypatch):
    restored = read_photo(photo)
    restored = restored.with_pixels(255 - restored.pixels)
    write_photo(restored, tmp_path / "whole.tif")
    monkeypatch.setattr(writing, "_LARGE", 0)
    write_photo(restored, tmp_path / "rows.tif")
    assert (tmp_path / "rows.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_a_damaged_file_is_damaged_piece_by_piece_as_well(photo, monkeypatch):
    content = photo.read_bytes()
    photo.write_bytes(content[: len(content) // 2])
    with pytest.raises(Exception, match=r"damaged or ends early") as whole:
        read_photo(photo)
    monkeypatch.setattr(sources, "_LARGE", 0)
    with pytest.raises(type(whole.value), match=r"damaged or ends early"):
        read_photo(photo)


def test_bytes_of_a_file_are_those_of_its_content(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(100)))
    with (tmp_path / "a").open("rb") as file:
        data = directories.FileBytes(file)
        assert len(data) == 100
        assert data[:3] == bytes(range(3))
        assert data[90:200] == bytes(range(90, 100))
        assert data[200:300] == b""


def test_a_photo_without_metadata_is_written_row_by_row(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_LARGE", 0)
    pixels = np.random.default_rng(0).integers(0, 65536, (33, 21, 3), np.uint16)
    write_photo(Photo(pixels, format="tiff", bits=16), tmp_path / "a.tif")
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tif").pixels, pixels)
    assert not list(tmp_path.glob("*.part"))

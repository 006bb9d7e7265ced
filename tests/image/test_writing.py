"""What a photo is written as, and what cannot be written."""

import numpy as np
import pytest
from skimage import data

from clearair.errors import OutputError
from clearair.image import Photo, read_photo, write_photo

PHOTO = Photo(data.coffee()[:120, :160])


def test_a_written_file_reads_back_and_leaves_nothing_else(tmp_path):
    assert write_photo(PHOTO, tmp_path / "a.png") == ()
    assert np.array_equal(read_photo(tmp_path / "a.png").pixels, PHOTO.pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_missing_folder_and_an_unknown_suffix(tmp_path):
    with pytest.raises(OutputError, match=r"a\.png: cannot be written: its folder does not exist"):
        write_photo(PHOTO, tmp_path / "gone" / "a.png")
    with pytest.raises(OutputError, match=r"a\.xyz: not a format that can be written; use .*\.jpg"):
        write_photo(PHOTO, tmp_path / "a.xyz")
    with pytest.raises(OutputError, match="not a format that can be written"):
        write_photo(PHOTO, tmp_path / "a.gif")


def test_a_side_too_long_for_the_format_is_refused(tmp_path):
    wide = Photo(np.zeros((1, 16384, 3), np.uint8))
    with pytest.raises(
        OutputError, match=r"16384 x 1 px, but a side in webp has at most 16383; write it as png"
    ):
        write_photo(wide, tmp_path / "a.webp")
    assert list(tmp_path.iterdir()) == []

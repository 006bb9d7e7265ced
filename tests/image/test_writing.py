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


@pytest.mark.parametrize("way", ["same", "dotted", "symlink", "hard link"])
def test_the_source_is_never_overwritten_by_whatever_name(tmp_path, way):
    source = tmp_path / "a.png"
    write_photo(PHOTO, source)
    (tmp_path / "sub").mkdir()
    target = {"same": source, "dotted": tmp_path / "sub" / ".." / "a.png"}.get(way, tmp_path / "b.png")
    if way == "symlink":
        target.symlink_to(source)
    if way == "hard link":
        target.hardlink_to(source)
    before = source.read_bytes()
    with pytest.raises(OutputError, match="is the input itself"):
        write_photo(read_photo(source), target, overwrite=True)
    assert source.read_bytes() == before

"""Which pictures are found, and what is said of the rest."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from clearair.errors import UsageError
from clearair.files.finding import find_images, read_list
from clearair.image import Photo, write_photo
from clearair.stores import Address, unnamed_file

PHOTO = Photo(np.full((6, 8, 3), 100, np.uint8))


def find(paths, **options):
    return find_images(paths, **options).sources


def names(sources, root):
    return [source.path.relative_to(root).as_posix() for source in sources]


def test_a_folder_gives_its_pictures_without_hidden_ones_and_earlier_results(folder):
    sources = find([folder])
    assert names(sources, folder) == ["a.jpg", "b.png", "sub/a.jpg"]
    assert [source.relative for source in sources] == [Path("a.jpg"), Path("b.png"), Path("sub/a.jpg")]


def test_a_pattern_gives_what_it_matches_with_the_tree_below_its_fixed_part(folder):
    sources = find([str(folder / "**" / "*.jpg")])
    assert names(sources, folder) == ["a.jpg", "sub/a.jpg"]
    assert [source.relative for source in sources] == [Path("a.jpg"), Path("sub/a.jpg")]
    assert names(find([str(folder / "*.png")]), folder) == ["b.png"]


def test_a_name_with_pattern_characters_is_a_name_first(folder):
    write_photo(PHOTO, folder / "c[1].jpg")
    assert names(find([folder / "c[1].jpg"]), folder) == ["c[1].jpg"]


def test_each_picture_comes_once(folder):
    given_twice = [folder / "b.png", folder, folder / "sub" / ".." / "a.jpg"]
    assert names(find(given_twice), folder) == ["b.png", "a.jpg", "sub/a.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_and_what_it_leads_to_are_both_found(folder):
    (folder / "sub" / "link.jpg").symlink_to(folder / "a.jpg")
    (folder / "other").symlink_to(folder / "sub")
    given = [folder, folder / "other" / "link.jpg"]  # which is sub/link.jpg again
    assert names(find(given), folder) == ["a.jpg", "b.png", "sub/a.jpg", "sub/link.jpg"]


def test_files_named_themselves_are_taken_as_they_are(folder):
    named = [folder / "notes.txt", folder / "gone.jpg", folder / ".hidden.jpg", folder / "b.restored.png"]
    assert [source.path for source in find(named)] == named


def test_results_beside_their_originals_are_not_restored_again(folder):
    listed_by_a_shell = sorted(folder.glob("b.*"))
    assert names(find(listed_by_a_shell), folder) == ["b.png"]


def test_an_output_folder_inside_the_input_is_not_searched(folder):
    out = folder / "out"
    out.mkdir()
    write_photo(PHOTO, out / "a.jpg")
    assert names(find([folder], out=out), folder) == ["a.jpg", "b.png", "sub/a.jpg"]
    assert names(find([str(folder / "**" / "*.jpg")], out=out), folder) == ["a.jpg", "sub/a.jpg"]


def test_an_output_folder_at_or_above_a_pattern_hides_nothing(folder):
    for out in (folder, folder.parent):
        assert find(str(folder / "*.png"), out=out) == find(str(folder / "*.png"))


def test_a_folder_or_pattern_without_pictures_is_named(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty: no pictures in this folder"):
        find([tmp_path / "empty"])
    with pytest.raises(UsageError, match=r"\*\.xcf: matches no pictures"):
        find([str(folder / "*.xcf")])
    (tmp_path / "done").mkdir()
    write_photo(PHOTO, tmp_path / "done" / "a.restored.jpg")
    with pytest.raises(UsageError, match="done: only earlier restorations"):
        find([tmp_path / "done"])


def test_a_single_path_is_a_path(folder):
    assert names(find(folder / "a.jpg"), folder) == ["a.jpg"]
    assert names(find(str(folder)), folder) == ["a.jpg", "b.png", "sub/a.jpg"]


@pytest.mark.parametrize("paths", [5, None, [None], [b"a.jpg"], "a\0b.jpg"])
def test_what_is_no_path_is_refused(paths):
    with pytest.raises(UsageError, match="path"):
        find_images(paths)


def test_a_place_without_pictures_does_not_stop_the_others(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    found = find_images([tmp_path / "empty", folder, str(tmp_path / "*.png")])
    assert names(found.sources, folder) == ["a.jpg", "b.png", "sub/a.jpg"]
    assert [problem.path for problem in found.problems] == [tmp_path / "empty", tmp_path / "*.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions there work otherwise")
def test_a_folder_that_cannot_be_searched_does_not_stop_the_others(folder):
    closed = folder / "closed"
    closed.mkdir(mode=0)
    try:
        if os.access(closed, os.R_OK):
            pytest.skip("this user may read everything")
        found = find_images([folder])
        assert names(found.sources, folder) == ["a.jpg", "b.png", "sub/a.jpg"]
        (problem,) = found.problems
        assert "closed: this folder cannot be searched: Permission denied" in problem.message
    finally:
        closed.chmod(0o700)


def test_pictures_of_formats_that_are_not_read_are_counted(folder):
    for name in ("1.psd", "2.PSD", "sub/3.jp2", "4.txt", ".5.psd"):
        (folder / name).touch()
    found = find_images([folder])
    assert found.unread == {".psd": 2, ".jp2": 1}
    assert found.remarks() == ("skipped because their format is not read: 1 .jp2, 2 .psd.",)
    assert find_images([folder / "a.jpg"]).remarks() == ()


def test_videos_in_a_store_are_counted_apart(tmp_path):
    pytest.importorskip("fsspec")
    (tmp_path / "clip.mp4").touch()
    (tmp_path / "photo.png").touch()
    address = Address("memory://finding/videos")
    with unnamed_file() as empty:
        for name in ("clip.mp4", "photo.png"):
            (address / name).write(empty, overwrite=True)
    found = find_images([tmp_path, address])
    assert found.remarks() == (
        "skipped: 1 video; name it to restore it.",
        "skipped: 1 video in a store; copy it to this machine to restore it.",
    )


def test_videos_in_place_of_pictures_are_told_once(folder, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("a.mp4", "b.mkv"):
        (videos / name).touch()
    found = find_images([folder, videos])
    assert found.remarks() == ()
    (problem,) = found.problems
    text = "no pictures in this folder, but 2 videos; name them to restore them."
    assert problem.message == f"{videos}: {text}"


def test_listed_files_keep_their_place_below_the_output_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    listed = [Path("sub/a.jpg"), Path("./a.jpg"), folder / "b.png", Path("../photos/.hidden.jpg")]
    assert [source.relative.as_posix() for source in find([], listed=listed)] == [
        "sub/a.jpg",
        "a.jpg",
        "b.png",
        ".hidden.jpg",
    ]


def test_a_list_of_names_is_parted_by_lines_or_nul_bytes():
    assert read_list(b"a.jpg\r\nb c.jpg\n\n") == [Path("a.jpg"), Path("b c.jpg")]
    assert read_list(b"two\nlines.jpg\0b.jpg\0", null=True) == [Path("two\nlines.jpg"), Path("b.jpg")]
    assert read_list(b"") == []
    assert read_list(b"\xef\xbb\xbfa.jpg\r\n") == [Path("a.jpg")]
    assert read_list(b"a.jpg", null=True) == [Path("a.jpg")]


@pytest.mark.parametrize(
    ("data", "null", "said"),
    [
        (b"a.jpg\nb.jpg\n", True, "leave out -0"),
        (b"a.jpg\0b.jpg\0", False, "add -0"),
        ("a.jpg\nb.jpg\n".encode("utf-16"), False, "UTF-8"),
    ],
)
def test_a_list_with_another_separator_is_refused(data, null, said):
    with pytest.raises(UsageError, match=said):
        read_list(data, null=null)


@pytest.mark.skipif(sys.platform != "linux", reason="names there are Unicode")
def test_a_list_may_hold_names_in_any_encoding():
    assert os.fsencode(read_list(b"caf\xe9.jpg\n")[0]) == b"caf\xe9.jpg"

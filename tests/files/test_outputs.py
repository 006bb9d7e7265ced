"""Where results go, and which files are never written to."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearair.errors import OutputError, UsageError
from clearair.files.finding import Finding, Problem, Source
from clearair.files.outputs import check_file, format_named, plan_outputs


def planned(paths, *arguments, **options):
    sources = [Source(Path(path), Path(path)) for path in paths]
    return [job.target.as_posix() for job in plan_outputs(sources, *arguments, **options)]


def test_results_stand_beside_their_inputs_or_below_the_output_folder():
    paths = ["a.jpg", "sub/b.TIF", "c.gif", "d.with.dots.png"]
    beside = ["a.restored.jpg", "sub/b.restored.TIF", "c.restored.png", "d.with.dots.restored.png"]
    assert planned(paths) == beside
    assert planned(paths, Path("out")) == ["out/a.jpg", "out/sub/b.TIF", "out/c.png", "out/d.with.dots.png"]
    assert planned(["a.jpg"], suffix="-clear") == ["a-clear.jpg"]


def test_a_format_changes_the_suffix_only_where_it_must():
    paths = ["a.jpg", "b.JPEG", "c.png"]
    for name in ("jpeg", "jpg", "JPG", ".jpg"):
        assert planned(paths, format=name) == ["a.restored.jpg", "b.restored.JPEG", "c.restored.jpg"]
    with pytest.raises(UsageError, match=r"format=bmp: not a format .* jpeg, png, tiff"):
        planned(paths, format="bmp")
    with pytest.raises(UsageError, match="format=gif"):
        planned(paths, format="gif")


def test_a_picture_as_output_is_for_one_picture():
    assert planned(["a.jpg"], Path("b.png")) == ["b.png"]
    with pytest.raises(UsageError, match=r"b\.png: one file for 2 pictures"):
        planned(["a.jpg", "c.jpg"], Path("b.png"))
    for name in ("b.gif", "b.HEIC", "b.bmp"):  # and not a folder of that name
        with pytest.raises(UsageError, match="this format cannot be written"):
            planned(["a.jpg"], Path(name))
    with pytest.raises(UsageError, match="contradicts format=tiff"):
        planned(["a.jpg"], Path("b.png"), format="tiff")


def test_a_file_without_a_known_suffix_gets_that_of_its_content(folder):
    (folder / "a.jpg").rename(folder / "scan")
    assert planned([folder / "scan"]) == [f"{folder.as_posix()}/scan.restored.jpg"]


def test_of_two_inputs_with_one_output_the_second_is_named():
    sources = [Source(Path(name), Path(name)) for name in ("a.gif", "a.png", "b.jpg")]
    first, second, third = plan_outputs(sources)
    assert first.problem.startswith("a.gif: would become a.restored.png, as would a.png.")
    assert (second.problem, third.problem) == (None, None)
    assert second.target == Path("a.restored.png")
    sources = [Source(Path("x/a.jpg"), Path("a.jpg")), Source(Path("y/a.jpg"), Path("a.jpg"))]
    assert [job.problem is None for job in plan_outputs(sources, Path("out"))] == [True, False]


def test_an_output_that_is_an_input_does_not_stop_the_others():
    sources = [Source(Path("d/a.jpg"), Path("a.jpg")), Source(Path("e/b.jpg"), Path("b.jpg"))]
    first, second = plan_outputs(sources, Path("d"))
    assert "d/a.jpg: is an input itself" in first.problem
    assert second.problem is None


def test_places_that_were_not_searched_are_among_the_jobs():
    found = Finding((Source(Path("a.jpg"), Path("a.jpg")),), (Problem(Path("closed"), "closed: no."),))
    assert [job.problem for job in plan_outputs(found)] == [None, "closed: no."]


def test_an_output_is_never_an_input():
    with pytest.raises(UsageError, match=r"a\.jpg: is an input itself"):
        planned(["a.jpg"], suffix="")
    with pytest.raises(UsageError, match="is an input itself"):
        planned(["a.jpg"], Path("sub/.."))
    with pytest.raises(UsageError, match="is an input itself"):
        planned(["a.jpg"], Path("a.jpg"))
    with pytest.raises(UsageError, match="a suffix is part of a file name"):
        planned(["a.jpg"], suffix="/../b")


@given(
    st.lists(
        st.from_regex(r"[ab]{1,2}/?[ab]{1,2}\.(jpg|png|gif|tif)", fullmatch=True), unique=True, min_size=1
    )
)
def test_a_plan_gives_every_name_once_and_never_that_of_an_input(paths):
    jobs = plan_outputs([Source(Path(path), Path(path)) for path in paths], Path("out"))
    targets = [job.target.as_posix() for job in jobs if job.problem is None]
    assert len(set(targets)) == len(targets) == len({job.target for job in jobs})
    assert not set(targets) & set(paths)


def test_a_file_is_never_an_input_by_whatever_path(tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.touch()
    (tmp_path / "hard.json").hardlink_to(photo)
    (tmp_path / "soft.json").symlink_to(photo)
    for name in ("photo.jpg", "hard.json", "soft.json", f"../{tmp_path.name}/photo.jpg"):
        with pytest.raises(UsageError, match="is an input itself"):
            check_file(tmp_path / name, inputs=[photo], overwrite=True)


def test_a_file_needs_a_free_name_and_a_folder(tmp_path):
    (tmp_path / "there.json").touch()
    with pytest.raises(OutputError, match="exists already"):
        check_file(tmp_path / "there.json")
    check_file(tmp_path / "there.json", overwrite=True)
    with pytest.raises(OutputError, match="is a folder"):
        check_file(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="its folder does not exist"):
        check_file(tmp_path / "new" / "r.json")
    check_file(tmp_path / "new" / "r.json", make_folder=True)
    with pytest.raises(OutputError, match="is a file, not a folder"):
        check_file(tmp_path / "there.json" / "r.json", make_folder=True)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions there work otherwise")
def test_a_folder_that_takes_no_files_is_found_out(tmp_path):
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(OutputError, match="no permission"):
            check_file(tmp_path / "r.json")
    finally:
        tmp_path.chmod(0o700)


def test_a_format_that_is_no_name_is_refused():
    with pytest.raises(UsageError, match="a name such as png, not int"):
        format_named(3)


def test_a_file_of_an_unreadable_kind_takes_no_name_from_a_readable_one():
    sources = [Source(Path(name), Path(name)) for name in ("a.ppm", "a.gif")]
    first, second = plan_outputs(sources)
    assert first.problem.startswith("a.ppm: would become a.restored.png, as would a.gif.")
    assert second.problem is None

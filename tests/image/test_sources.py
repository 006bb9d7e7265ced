"""What is no picture, or no file, is named in one line before anything is decoded."""

import os
import sys
from pathlib import Path

import pytest
from tests.image.pictures import encoded, refusal

from clearair.errors import UsageError
from clearair.image import read_photo


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.jpg"
    path.touch()
    assert refusal(path) == f"{path}: the file is empty."


@pytest.mark.parametrize("content", [b"hello, world" * 50, b"\0" * 500, b"\xff\xd8", b"<html>"])
def test_a_file_that_is_no_picture(tmp_path, content):
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)
    assert refusal(path) == f"{path}: not a picture."


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="path"):
        read_photo(5)
    assert "NUL" in refusal(f"{tmp_path}/a\0b.png")


def test_a_folder_and_a_missing_file(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: a folder, not a picture."
    assert refusal(tmp_path / "gone.jpg") == f"{tmp_path / 'gone.jpg'}: no such file."


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_to_nothing(tmp_path):
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone.jpg")
    assert refusal(tmp_path / "link.jpg") == f"{tmp_path / 'link.jpg'}: a link to a file that is not there."


@pytest.mark.skipif(sys.platform == "win32", reason="permissions there work otherwise")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "private.jpg"
    path.write_bytes(encoded("jpeg"))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "cannot be read: Permission denied" in refusal(path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens but cannot be read")
def test_a_file_that_fails_while_it_is_read():
    assert refusal(Path("/proc/self/mem")) == "/proc/self/mem: cannot be read: Input/output error."


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "not a regular file" in refusal(tmp_path / "pipe.jpg")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"8BPS" + bytes(60), "Photoshop"),
        (b"%PDF-1.7" + bytes(60), "PDF"),
        (b"P6\n640 480\n255\n" + bytes(60), "PNM"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60), "JPEG 2000"),
        (b"\xef\xbb\xbf  <svg xmlns=" + bytes(60), "SVG"),
    ],
)
def test_a_known_format_that_is_not_read_is_named(head, name):
    assert f" {name} file, which cannot be read. Save it as PNG" in refusal(head, name="photo")


@pytest.mark.parametrize("head", [b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", b"\x1aE\xdf\xa3"])
def test_a_video_is_not_to_be_saved_as_a_picture(head):
    said = refusal(head + bytes(60), name="photo")
    assert said.startswith(
        "photo: a video, not a picture; name it as an argument of `clearair restore`, with"
    )


def test_a_camera_raw_file_does_not_pass_as_its_thumbnail(tmp_path):
    path = tmp_path / "DSC_1.NEF"
    path.write_bytes(encoded("tiff"))
    assert "RAW file is damaged" in refusal(path)
    # a digital negative by its tag, whatever it is called
    assert "RAW file is damaged" in refusal(encoded("tiff", tiffinfo={50706: b"\1\4\0\0"}))

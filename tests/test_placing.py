"""Where a result goes: whole or not at all, and never over its source."""

import errno
import os
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest
from skimage import data

from clearair.errors import OutputError
from clearair.image import Photo, read_photo, write_photo
from clearair.placing import check_makeable, write_atomically

PHOTO = Photo(data.coffee()[:120, :160])


def test_an_existing_file_is_left_alone_unless_asked(tmp_path):
    target = tmp_path / "a.png"
    target.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"a\.png: exists already; overwrite=True"):
        write_photo(PHOTO, target)
    with pytest.raises(OutputError, match="exists already"):  # also one that appears while we encode
        write_atomically(target, b"new", overwrite=False)
    assert target.read_bytes() == b"mine"
    write_photo(PHOTO, target, overwrite=True)
    assert read_photo(target).size == (160, 120)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(OutputError, match="permission denied"):
            write_photo(PHOTO, tmp_path / "a.png")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file size")
def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path):
    code = """
        import resource, sys
        import numpy as np
        from pathlib import Path
        from clearair.errors import OutputError
        from clearair.image import Photo, write_photo
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
        try:
            write_photo(Photo(noise), Path(sys.argv[1]), overwrite=True)
        except OutputError as error:
            print(error)
    """
    target = tmp_path / "a.png"
    target.write_bytes(b"earlier")
    command = [sys.executable, "-c", textwrap.dedent(code), str(target)]
    assert "a.png: cannot be written: file too large" in subprocess.check_output(command, text=True)
    assert target.read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("blocked", ["fsync", "link"])
def test_a_failure_at_any_step_leaves_nothing_behind(tmp_path, monkeypatch, blocked):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, blocked, full)
    if blocked == "link":  # a file system without links: written all the same
        write_photo(PHOTO, tmp_path / "a.png")
        assert read_photo(tmp_path / "a.png").size == (160, 120)
        with pytest.raises(OutputError, match="exists already"):
            write_atomically(tmp_path / "a.png", b"new", overwrite=False)
        return
    with pytest.raises(OutputError, match=r"a\.png: cannot be written: the disk is full"):
        write_photo(PHOTO, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_photo(PHOTO, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("flag", "why"), [(os.ST_RDONLY, "read-only file system"), (0, "permission denied")])
def test_a_folder_that_cannot_be_written_to_is_said_before_the_work(tmp_path, monkeypatch, flag, why):
    monkeypatch.setattr(os, "access", lambda *_: False)  # for root all is allowed
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=flag))
    with pytest.raises(OutputError, match=f"new: the folder cannot be written to: {why}"):
        check_makeable(tmp_path / "new")

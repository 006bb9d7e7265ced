"""What was left alone is copied; what is written has the mode of its input."""

import io
import os
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from clearair.errors import ExistsError, OutputError, UsageError
from clearair.files.adapters import as_photo
from clearair.files.saving import save, save_to
from clearair.image import Photo, read_photo, write_photo

OLD = 1_000_000_000
UNIX = pytest.mark.skipif(sys.platform == "win32", reason="modes there work otherwise")


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    write_photo(Photo(pixels), tmp_path / "in.jpg", quality=60)
    os.utime(tmp_path / "in.jpg", (OLD, OLD))
    return read_photo(tmp_path / "in.jpg")


def changed_time(path):
    return int(path.stat().st_mtime)


def test_what_did_not_change_is_a_copy_with_its_time(photo, tmp_path):
    noted = replace(photo, notes=("something was converted",))
    assert save(noted, tmp_path / "out.jpg", changed=False) == ()
    assert (tmp_path / "out.jpg").read_bytes() == photo.path.read_bytes()
    assert changed_time(tmp_path / "out.jpg") == OLD


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("out.jpg", {"changed": True}),
        ("out.png", {"changed": False}),
    ],
)
def test_what_changed_or_goes_into_another_format_is_encoded(photo, tmp_path, name, options):
    noted = replace(photo, notes=("something was converted",))
    assert save(noted, tmp_path / name, **options) == noted.notes
    assert (tmp_path / name).read_bytes() != photo.path.read_bytes()
    assert changed_time(tmp_path / name) > OLD


@pytest.mark.parametrize("name", ["a.jpg", "photo.restored.JPEG"])
def test_a_picture_with_the_suffix_of_another_format_is_copied_too(tmp_path, name):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    write_photo(Photo(pixels), tmp_path / "true.png")
    (tmp_path / "true.png").rename(tmp_path / "named.jpg")
    photo = read_photo(tmp_path / "named.jpg")
    (tmp_path / "out").mkdir()
    assert save(photo, tmp_path / "out" / name, changed=False) == ()
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "named.jpg").read_bytes()
    for options in ({"changed": True}, {"changed": False, "format": "jpeg"}):
        notes = save(photo, tmp_path / "out" / name, overwrite=True, **options)
        assert read_photo(tmp_path / "out" / name).format == "jpeg"
        said = "is png by its content, but written as jpeg, as its name says"
        assert (said in notes) == options["changed"]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_what_did_not_change_loses_its_metadata_and_keeps_its_codes(tmp_path, suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    exif = PIL.Image.Exif()
    exif[0x010F], exif[0x0112] = "someone", 6
    path = tmp_path / f"in.{suffix}"
    PIL.Image.fromarray(pixels).save(path, exif=exif, quality=60)
    os.utime(path, (OLD, OLD))
    photo = replace(read_photo(path), notes=("something was converted",), left_out=("a video",))
    out = tmp_path / f"out.{suffix}"
    assert save(photo, out, changed=False, strip_metadata=True) == ("left out: a video",)
    assert b"someone" not in out.read_bytes()
    assert len(out.read_bytes()) < len(path.read_bytes())
    assert changed_time(out) > OLD
    after = read_photo(out)
    np.testing.assert_array_equal(after.pixels, photo.pixels)
    assert (after.size, after.quality) == (photo.size, photo.quality)
    file = io.BytesIO()
    save_to(photo, file, changed=False, strip_metadata=True)
    assert file.getvalue() == out.read_bytes()


def test_a_webp_is_encoded_to_lose_its_metadata(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "in.webp", xmp=b"someone")
    photo = read_photo(tmp_path / "in.webp")
    save(photo, tmp_path / "out.webp", changed=False, strip_metadata=True)
    assert b"someone" not in (tmp_path / "out.webp").read_bytes()


def test_a_damaged_file_is_not_copied(photo, tmp_path):
    whole = photo.path.read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    cut = read_photo(tmp_path / "cut.jpg", salvage=True)
    (note,) = save(cut, tmp_path / "out.jpg", changed=False)
    assert "what could be decoded" in note
    read_photo(tmp_path / "out.jpg")  # is whole


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"other"), lambda path: path.unlink()])
def test_a_file_that_is_another_one_by_now_is_not_copied(photo, tmp_path, spoil):
    spoil(photo.path)
    save(photo, tmp_path / "out.jpg", changed=False)
    assert read_photo(tmp_path / "out.jpg").size == photo.size


@pytest.mark.parametrize("changed", [False, True])
def test_a_copy_replaces_nothing_unasked_and_never_its_input(photo, tmp_path, changed):
    (tmp_path / "there.jpg").write_text("mine")
    with pytest.raises(ExistsError, match=r"there\.jpg: exists already"):
        save(photo, tmp_path / "there.jpg", changed=changed)
    with pytest.raises(OutputError, match="is the input itself"):
        save(photo, photo.path, changed=changed, overwrite=True)
    save(photo, tmp_path / "there.jpg", changed=changed, overwrite=True)
    assert read_photo(tmp_path / "there.jpg").size == photo.size


def test_times_are_kept_when_asked_for(photo, tmp_path):
    save(photo, tmp_path / "out.jpg", preserve_times=True)
    assert changed_time(tmp_path / "out.jpg") == OLD


@contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@UNIX
@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize(
    ("mode", "mask", "becomes"),
    [
        (0o600, 0o022, 0o600),
        (0o640, 0o022, 0o640),
        (0o644, 0o022, 0o644),
        (0o444, 0o022, 0o444),
        (0o666, 0o077, 0o600),
    ],
)
def test_a_result_is_open_to_nobody_whom_its_input_is_closed_to(
    photo, tmp_path, changed, mode, mask, becomes
):
    photo.path.chmod(mode)
    photo = read_photo(photo.path)
    (tmp_path / "out.jpg").write_text("open to all")
    (tmp_path / "out.jpg").chmod(0o666)
    with umask(mask):
        save(photo, tmp_path / "out.jpg", changed=changed, overwrite=True)
    assert (tmp_path / "out.jpg").stat().st_mode & 0o777 == becomes


@UNIX
def test_a_picture_without_a_file_has_the_usual_mode(tmp_path):
    with umask(0o022):
        write_photo(Photo(np.zeros((4, 4, 3), np.uint8)), tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_mode & 0o777 == 0o644


def test_an_open_file_takes_the_copy_or_another_format(photo):
    file = io.BytesIO()
    assert save_to(photo, file, changed=False) == ()
    assert file.getvalue() == photo.path.read_bytes()
    given = read_photo(photo.path.read_bytes())
    file = io.BytesIO()
    save_to(given, file, changed=False)
    assert file.getvalue() == photo.path.read_bytes()
    file = io.BytesIO()
    save_to(given, file, changed=False, format="png")
    np.testing.assert_array_equal(read_photo(file.getvalue()).pixels, photo.pixels)


def closed_file(path):
    with path.open("wb") as file:
        return file


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: io.StringIO(), "binary file: open it"),
        (lambda path: path.open("w"), "binary file: open it"),
        (lambda path: path.open("rb"), "not open for writing"),
        (closed_file, "is closed"),
        (lambda path: 5, "not to int"),
        (lambda path: None, "not to None"),
    ],
)
def test_what_takes_no_bytes_is_refused(photo, tmp_path, make, said):
    (tmp_path / "out").touch()
    file = make(tmp_path / "out")
    with pytest.raises(UsageError, match=said):
        save_to(photo, file)
    if hasattr(file, "close"):
        file.close()


def test_no_input_is_overwritten_whatever_it_came_as(tmp_path):
    path = tmp_path / "own.png"
    PIL.Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    before = path.read_bytes()
    with PIL.Image.open(path) as image, path.open("rb") as file:
        for picture in (image, file):
            photo, _ = as_photo(picture)
            with pytest.raises(OutputError, match="input itself"):
                save(photo, path, overwrite=True)
    with path.open("r+b") as file, pytest.raises(OutputError, match="input itself"):
        save_to(as_photo(file)[0], file)
    assert path.read_bytes() == before


@pytest.mark.parametrize("target", ["", "."])
def test_a_file_without_a_name_is_refused(photo, target):
    with pytest.raises(OutputError, match="empty"):
        write_photo(photo, target, format="png")

"""A result, and how it becomes a file."""

import io

import pytest
import skimage.data

from clearair import ExistsError, OutputError, Result, UsageError
from clearair.image import Photo, read_photo, write_photo
from clearair.outcome import Outcome
from clearair.perception import load_compact
from clearair.stores import place_of


@pytest.fixture(scope="module")
def picture():
    return skimage.data.chelsea()[40:140, 100:250]


@pytest.fixture(scope="module")
def percepts(picture):
    return load_compact().perceive_image(picture)


@pytest.fixture
def make(percepts):
    """A result of a photo, restored or left as it is."""

    def result(photo, *, changed=True):
        outcome = Outcome(found={"haze": 0.9}, share=float(changed), changed=changed)
        return Result(photo.pixels, percepts, photo, outcome)

    return result


def test_a_result_says_what_was_found_and_done(make, picture):
    result = make(Photo(picture))
    assert result.found == {"haze": 0.9}
    assert result.done == "restored"
    assert make(Photo(picture), changed=False).done == "left as it is, since the strength is 0"


def test_a_result_is_saved_with_the_quality_asked_for(make, picture, tmp_path):
    result = make(Photo(picture))
    result.save(tmp_path / "a.jpg", quality=40)
    assert read_photo(tmp_path / "a.jpg").quality == 40
    with pytest.raises(UsageError, match="quality"):
        result.save(tmp_path / "b.jpg", quality=0)


def test_what_is_left_as_it_is_is_saved_as_it_was(make, picture, tmp_path):
    write_photo(Photo(picture), tmp_path / "photo.jpg")
    result = make(read_photo(tmp_path / "photo.jpg"), changed=False)
    result.save(tmp_path / "same.jpg")
    assert (tmp_path / "same.jpg").read_bytes() == (tmp_path / "photo.jpg").read_bytes()
    with pytest.raises(ExistsError, match="overwrite=True"):
        result.save(tmp_path / "same.jpg")
    result.save(tmp_path / "same.jpg", overwrite=True)


def test_a_format_that_cannot_be_written_is_refused(make, picture, tmp_path):
    result = make(Photo(picture))
    with pytest.raises(UsageError, match="format=bmp"):
        result.save(io.BytesIO(), format="bmp")
    with pytest.raises(OutputError, match="not a format"):
        result.save(tmp_path / "picture")
    result.save(tmp_path / "picture", format="png")
    assert read_photo(tmp_path / "picture").size == (150, 100)


def test_a_result_goes_into_a_store(make, picture):
    pytest.importorskip("fsspec")
    address = "memory://result/better.png"
    make(Photo(picture)).save(address)
    stored = read_photo(place_of(address))
    assert (stored.pixels == picture).all()
    with pytest.raises(ExistsError):
        make(Photo(255 - picture)).save(address)

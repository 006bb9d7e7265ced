"""The quality of files that are coded with loss: as asked for, else that of the source."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from clearair.errors import UsageError
from clearair.image import Photo, encode_photo, read_photo

COFFEE = np.ascontiguousarray(data.coffee()[100:148, 150:214])


def jpeg(**options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(COFFEE).save(file, "jpeg", **options)
    return file.getvalue()


@pytest.mark.parametrize("quality", [1, 30, 49, 50, 75, 90, 95, 100])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_quality_of_a_jpeg_is_told_from_its_tables(quality, progressive):
    assert read_photo(jpeg(quality=quality, progressive=progressive)).quality == quality


def test_tables_of_other_programs_tell_nothing():
    assert read_photo(jpeg(qtables=[[7] * 64, [9] * 64])).quality is None
    assert read_photo(encode_photo(Photo(COFFEE), "png")).quality is None


@pytest.mark.parametrize(("before", "after"), [(60, 90), (90, 90), (93, 93), (100, 100)])
def test_a_jpeg_keeps_its_quality_but_has_at_least_90(before, after):
    photo = read_photo(jpeg(quality=before))
    assert read_photo(encode_photo(photo)).quality == after
    assert read_photo(encode_photo(photo, quality=before)).quality == before


def test_a_jpeg_of_another_source_has_95():
    assert read_photo(encode_photo(Photo(COFFEE), "jpeg")).quality == 95
    assert read_photo(encode_photo(read_photo(jpeg(qtables=[[7] * 64, [9] * 64])))).quality == 95


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"])
def test_less_quality_is_a_smaller_file(kind):
    photo = Photo(COFFEE)
    sizes = [len(encode_photo(photo, kind, quality=quality)) for quality in (20, 60, 95)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] / 2
    assert len(encode_photo(photo, kind, quality={kind: 20})) == sizes[0]
    others = {"jpeg": 20, "webp": 20, "avif": 20}
    del others[kind]
    assert encode_photo(photo, kind, quality=others) == encode_photo(photo, kind)


@pytest.mark.parametrize("quality", [0, 101, -5, True, 90.0, "90", {"jpeg": 0}, {"png": 90}])
def test_a_quality_without_sense_is_refused(quality):
    with pytest.raises(UsageError, match="quality"):
        encode_photo(Photo(COFFEE), "jpeg", quality=quality)

"""Damaged files of every format, made by `benchmarks/fuzz.py`: a photo or an ImageError, nothing else."""

from contextlib import suppress

import pytest
from fuzz import changed, samples

from clearair.errors import ImageError
from clearair.image import FORMATS, read_photo

FILES = samples()


def test_every_format_is_fuzzed():
    assert FILES.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", FILES)
def test_the_files_themselves_are_read(name):
    for data in FILES[name]:
        assert read_photo(data).format == name


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_read_or_refused(name):
    refused = 0
    for number in range(100):
        with suppress(ImageError):
            read_photo(changed(FILES[name], number), max_pixels=4_000_000)
            continue
        refused += 1
    assert 0 < refused < 100


@pytest.mark.parametrize("number", [10850, 13802, 29734, 33074])
def test_a_frame_that_announces_more_than_there_is(number):
    with pytest.raises(ImageError):
        read_photo(changed(FILES["jpeg"], number))

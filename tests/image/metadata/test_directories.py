import struct
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from clearair.image import read_photo
from clearair.image.metadata.directories import (
    EXIF_IFD,
    ORIENTATION,
    Directory,
    Tag,
    build_block,
    read_directory,
    read_orientation,
    with_orientation,
    without_thumbnail,
)

tags = st.one_of(
    st.builds(lambda values: Tag.short(*values), st.lists(st.integers(0, 65535), min_size=1, max_size=5)),
    st.builds(Tag.opaque, st.binary(min_size=1, max_size=20)),
    st.builds(Tag.rational, st.floats(0.01, 4000)),
)
numbers = st.integers(1, 65535).filter(lambda number: number not in (EXIF_IFD, 34853, 40965))
directories = st.builds(Directory, st.dictionaries(numbers, tags, max_size=6))


@given(directories, st.none() | directories)
def test_a_written_directory_reads_back(directory, child):
    if child is not None:
        directory = Directory(directory.tags, {EXIF_IFD: child})
    assert read_directory(build_block(directory)) == directory


@given(st.binary(max_size=200), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b""]))
def test_any_bytes_are_survived(noise, start):
    block = start + noise
    read_directory(block)
    assert 1 <= read_orientation(block) <= 8
    assert len(with_orientation(block, 3)) == len(without_thumbnail(block)) == len(block)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
def test_the_orientation_is_changed_in_place(order, kind):
    mark = b"II" if order == "<" else b"MM"
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *((6, 0) if kind == 3 else (6,)))
    block = mark + struct.pack(order + "HIHHHI", 42, 8, 1, ORIENTATION, kind, 1) + value + bytes(4)
    assert read_orientation(block) == 6
    changed = with_orientation(block, 1)
    assert read_orientation(changed) == 1
    assert sum(a != b for a, b in zip(block, changed, strict=True)) == 1


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_makes_no_sense_counts_as_upright(orientation):
    assert read_orientation(build_block(Directory({ORIENTATION: Tag.short(orientation)}))) == 1


def test_a_forged_directory_costs_no_time():
    entries = [struct.pack("<HHII", number, 7, 5_000_000, 0) for number in range(1, 4000)]
    entries += [struct.pack("<HHII", EXIF_IFD, 4, 1, 8)] * 90  # each points back to the directory itself
    block = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + b"".join(entries) + bytes(6_000_000)
    start = time.perf_counter()
    read_directory(block)
    assert time.perf_counter() - start < 2


def test_metadata_of_a_bigtiff_are_read():
    import pyvips

    coffee = np.ascontiguousarray(data.coffee()[:20, :30])
    image = pyvips.Image.new_from_memory(coffee.data, 30, 20, 3, "uchar").copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    content = image.tiffsave_buffer(bigtiff=True, xres=10, yres=20, resunit="cm")
    assert content[:4] == b"II+\0"
    photo = read_photo(bytes(content))
    assert photo.size == (20, 30)
    assert photo.metadata.density == pytest.approx((10, 20))

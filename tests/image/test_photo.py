import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageOps

from clearair.errors import OutputError
from clearair.image import Photo, to_depth
from clearair.image.photo import turn_stored, turn_upright

DEPTHS = [np.uint8, np.uint16, np.float32]
ORIENTATIONS = range(1, 9)


def photo(depth=np.uint8, height=3, width=4, **more):
    return Photo(np.zeros((height, width, 3), depth), **more)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_upright_is_what_pillow_shows(orientation):
    stored = np.arange(6 * 4, dtype=np.uint8).reshape(6, 4)
    image = Image.fromarray(stored)
    image.getexif()[274] = orientation
    assert np.array_equal(turn_upright(stored, orientation), np.asarray(ImageOps.exif_transpose(image)))


@given(st.sampled_from(ORIENTATIONS), st.integers(1, 5), st.integers(1, 5), st.sampled_from([(), (1,), (3,)]))
def test_stored_undoes_upright(orientation, height, width, channels):
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, *channels), dtype=np.uint8)
    assert np.array_equal(turn_stored(turn_upright(pixels, orientation), orientation), pixels)


@given(arrays(np.uint16, (4, 4, 3)), st.sampled_from([np.dtype(np.uint8), np.dtype(np.uint16)]))
def test_integers_survive_the_way_to_floats_and_back(values, depth):
    values = to_depth(values, depth)
    assert np.array_equal(to_depth(to_depth(values, np.dtype(np.float32)), depth), values)


@given(arrays(np.uint8, (4, 4, 3)))
def test_8_bits_survive_the_way_to_16_and_back(values):
    assert np.array_equal(to_depth(to_depth(values, np.dtype(np.uint16)), np.dtype(np.uint8)), values)


def test_floats_are_rounded_to_the_nearest_step_and_clipped():
    values = np.array([-1, 0, 0.4 / 255, 0.6 / 255, 1, 7], np.float32)
    assert to_depth(values, np.dtype(np.uint8)).tolist() == [0, 0, 0, 1, 255, 255]


@pytest.mark.parametrize("depth", DEPTHS)
def test_new_pixels_take_the_depth_of_the_photo(depth):
    restored = photo(depth).with_pixels(np.ones((3, 4, 3), np.float32))
    assert restored.pixels.dtype == depth
    assert (restored.pixels == (1 if depth is np.float32 else np.iinfo(depth).max)).all()


@given(arrays(np.uint16, (2, 3, 1)), st.sampled_from([np.dtype(depth) for depth in DEPTHS]))
def test_equal_channels_stay_as_they_are_in_a_grey_photo(values, depth):
    grey = np.repeat(to_depth(values, depth), 3, axis=2)
    assert np.array_equal(Photo(grey, grey=True).with_pixels(grey).pixels, grey)


def test_a_grey_photo_takes_the_mean_of_the_channels():
    new = np.zeros((1, 1, 3), np.uint8)
    new[0, 0] = 10, 20, 31
    assert photo(height=1, width=1, grey=True).with_pixels(new).pixels.tolist() == [[[20, 20, 20]]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("depth", DEPTHS)
def test_nan_and_infinity_are_refused(depth, value):
    new = np.zeros((3, 4, 3), np.float32)
    new[1, 2, 0] = value
    with pytest.raises(OutputError, match=r"sea\.jpg: the network returned NaN"):
        photo(depth, name="sea.jpg").with_pixels(new)


@pytest.mark.parametrize(
    "new", [np.zeros((4, 3, 3), np.uint8), np.zeros((3, 4, 4), np.uint8), np.zeros((3, 4, 3), np.uint16)]
)
def test_pixels_of_another_size_or_type_are_refused_with_both_in_the_message(new):
    with pytest.raises(ValueError, match=r"\(3, 4, 3\) uint8, got"):
        photo().with_pixels(new)


def test_alpha_must_fit_the_pixels():
    with pytest.raises(ValueError, match="alpha must fit"):
        photo(alpha=np.zeros((4, 3), np.uint8))
    with pytest.raises(ValueError, match="alpha must fit"):
        photo(alpha=np.zeros((3, 4), np.uint16))

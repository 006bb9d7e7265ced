"""From a picture to the square the vision tower sees."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from tests.perception.deqa import reference

from clearair.errors import ImageError
from clearair.perception.deqa.image import pixel_values

SHAPES = [
    (1, 1),
    (1, 2),
    (37, 53),
    (448, 448),
    (600, 449),
    (40, 1600),
    (1601, 40),
    (3, 448),
    (700, 513),
    (1030, 700),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [448, 42])
def test_strips_give_the_pixels_of_the_whole_square(shape, side):
    image = np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3), np.uint8)
    expected = reference.pixels(PIL.Image.fromarray(image), side)
    found = pixel_values(image, side)
    assert found.shape == (3, side, side)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)  # an 8-bit level is 0.015


def test_padding_has_the_mean_colour_and_the_picture_is_in_the_middle():
    values = pixel_values(np.full((20, 60, 3), 255, np.uint8), 60)
    rows = [row for row in range(60) if values[0, row].min() > 1]
    assert rows == list(range(20, 40))
    assert np.abs(values[:, 0]).max() < 0.02


def test_an_image_and_its_array_are_the_same_picture():
    image = PIL.Image.effect_noise((50, 30), 90).convert("RGB")
    np.testing.assert_array_equal(pixel_values(image, 42), pixel_values(np.asarray(image), 42))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_images_of_other_modes_are_converted(mode):
    image = PIL.Image.effect_noise((50, 30), 90)
    found = pixel_values(image.convert("RGB").convert(mode), 42)
    expected = pixel_values(image.convert("RGB").convert(mode).convert("RGB"), 42)
    np.testing.assert_array_equal(found, expected)


def test_more_than_8_bits_are_rounded_not_truncated():
    level = np.full((4, 4, 3), 100, np.uint8)
    for image in ((level - 0.4) / 255, (level + 0.4) / 255, (level * 257.0 - 100).astype(np.uint16)):
        np.testing.assert_array_equal(pixel_values(image, 42), pixel_values(level, 42))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((5, 5), np.uint8), "shape"),
        (np.zeros((5, 5, 4), np.uint8), "shape"),
        (np.zeros((0, 5, 3), np.uint8), "pixels"),
        (np.zeros((5, 5, 3), np.int64), "int64"),
        ("photo.jpg", "str"),
    ],
)
def test_what_is_no_image_is_refused(image, said):
    with pytest.raises(ImageError, match=said):
        pixel_values(image, 42)


def test_nothing_but_nan_is_black():
    dark = pixel_values(np.full((4, 4, 3), np.nan), 42)
    np.testing.assert_array_equal(dark, pixel_values(np.zeros((4, 4, 3), np.uint8), 42))

"""Pixels for training: how photographs are read, made small and rounded."""

import numpy as np
import pytest
import torch

from clearair.data.pixels import REDUCED, load_pixels, quantized, reduced, to_bytes
from clearair.image import Photo, write_photo


def test_a_picture_of_sixteen_bits_is_read_as_eight(tmp_path):
    write_photo(Photo(np.full((8, 9, 3), 257 * 90, np.uint16)), tmp_path / "deep.png")
    pixels = load_pixels(tmp_path / "deep.png")
    assert pixels.dtype == torch.uint8
    assert (pixels == 90).all()


def test_the_longer_side_is_what_was_asked_for_and_the_shape_stays():
    pixels = torch.randint(
        0, 256, (3, 300, 900), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    assert reduced(pixels).shape == (3, 133, REDUCED)
    assert reduced(pixels.mT, 90).shape == (3, 90, 30)


def test_a_small_picture_stays_as_it_is():
    pixels = torch.arange(3 * 20 * 12, dtype=torch.uint8).reshape(3, 20, 12)
    assert torch.equal(reduced(pixels), pixels)


@pytest.mark.parametrize("value", [0, 100, 255])
def test_an_even_picture_keeps_its_value(value):
    small = reduced(torch.full((3, 500, 700), value, dtype=torch.uint8))
    assert small.dtype == torch.uint8
    assert (small == value).all()


def test_values_are_rounded_to_levels_that_a_file_holds():
    values = torch.tensor([0.0, 0.4 / 255, 0.6 / 255, 254.6 / 255, 1.0])
    assert to_bytes(values).tolist() == [0, 0, 1, 255, 255]
    assert torch.equal(quantized(values), to_bytes(values) / 255)
    assert values[1] == torch.tensor(0.4 / 255)  # the input stays

from __future__ import annotations

import numpy as np
import pytest
import torch

from clearair.perception.sam2.pixels import brighten, normalised, point_grid, points_in_square, to_square


def test_the_grid_of_a_wide_image_by_hand():
    assert point_grid((100, 400), 2).tolist() == [[100, 25], [300, 25], [100, 75], [300, 75]]


@pytest.mark.parametrize("size", [(100, 400), (400, 100), (333, 77), (1, 40)])
def test_in_the_square_each_axis_is_scaled_by_itself(size):
    found = points_in_square(point_grid(size, 4), size, 1024)
    assert found[:5].tolist() == [[128, 128], [384, 128], [640, 128], [896, 128], [128, 384]]
    assert len(found) == 16


def test_pixels_are_resized_in_floats():
    image = np.zeros((1, 3, 3), np.uint8)
    image[0, :, 0] = [0, 1, 2]
    square = to_square(image, 2)
    assert square.shape == (3, 2, 2)
    values = (255 * square[0, 0]).tolist()
    assert all(abs(value - round(value)) > 0.05 for value in values)  # not rounded to 8 bits


def test_an_image_of_the_right_size_only_changes_its_units():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    square = to_square(image, 8)
    torch.testing.assert_close(square, torch.from_numpy(image).permute(2, 0, 1) / 255)
    back = normalised(square) * torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    torch.testing.assert_close(back + torch.tensor([0.485, 0.456, 0.406])[:, None, None], square)


def test_only_dark_images_are_brightened():
    dark, bright = torch.full((3, 4, 4), 0.05), torch.full((3, 4, 4), 0.5)
    torch.testing.assert_close(brighten(dark, 0.2, 0.4), torch.full((3, 4, 4), 0.4))
    assert torch.equal(brighten(bright, 0.2, 0.4), bright)
    assert torch.equal(brighten(dark, 0.0, 0.4), dark)
    assert not brighten(torch.zeros(3, 4, 4), 0.2, 0.4).any()

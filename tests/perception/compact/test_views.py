"""The two views: sizes, what they contain, and that their cost is bounded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clearair.perception.compact.geometry import (
    EXPOSURE_DIM,
    QUANTILES,
    SAMPLE,
    far_size,
    near_grid,
    sample_step,
)
from clearair.perception.compact.views import exposure, far_view, near_crops

sides = st.integers(1, 20000)


@given(sides, sides, st.integers(256, 60000))
def test_the_far_view_has_sides_of_multiples_of_16_and_a_bounded_area(height, width, pixels):
    far_height, far_width = far_size(height, width, pixels)
    assert far_height % 16 == far_width % 16 == 0
    assert min(far_height, far_width) >= 16
    assert far_height * far_width <= pixels


@given(st.integers(200, 4000), st.integers(200, 4000))
def test_the_far_view_keeps_the_aspect(height, width):
    far_height, far_width = far_size(height, width, 43264)
    assert abs(far_height - far_width * height / width) < 16 + 16 * height / width


@given(sides, sides, st.integers(1, 40), st.integers(1, 64))
def test_the_near_grid_never_has_more_crops_than_allowed(height, width, crops, spacing):
    rows, columns = near_grid(height, width, crops, spacing)
    assert rows >= 1
    assert columns >= 1
    assert rows * columns <= crops


def test_an_image_of_the_far_size_is_seen_as_it_is():
    images = torch.rand(1, 3, 32, 48)
    assert torch.equal(far_view(images, 32 * 48), images)


def test_the_far_view_averages_areas():
    images = torch.rand(2, 3, 64, 64)
    expected = torch.nn.functional.avg_pool2d(images, 2)
    torch.testing.assert_close(far_view(images, 32 * 32), expected)


def test_crops_show_native_pixels_from_corner_to_corner():
    images = torch.rand(1, 3, 100, 70)
    crops = near_crops(images, 16, (3, 2))
    assert crops.shape == (1, 6, 3, 16, 16)
    assert torch.equal(crops[:, 0], images[:, :, :16, :16])
    assert torch.equal(crops[:, 5], images[:, :, -16:, -16:])
    assert torch.equal(crops[:, 2], images[:, :, 42:58, :16])


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (40, 5)])
def test_an_image_smaller_than_a_crop_is_continued_at_its_edges(size):
    images = torch.rand(1, 3, *size)
    crops = near_crops(images, 16, (1, 1))
    assert crops.shape == (1, 1, 3, 16, 16)
    assert torch.isin(crops, images).all()


def test_a_mirrored_image_has_mirrored_views():
    images = torch.rand(1, 3, 100, 130)
    mirrored = images.flip(3)
    torch.testing.assert_close(far_view(mirrored, 2048), far_view(images, 2048).flip(3))
    crops, swapped = near_crops(images, 16, (2, 3)), near_crops(mirrored, 16, (2, 3))
    assert torch.equal(swapped.unflatten(1, (2, 3)).flip(2), crops.unflatten(1, (2, 3)).flip(-1))


@given(sides, sides)
def test_of_any_image_a_bounded_number_of_pixels_is_counted(height, width):
    step = sample_step(height, width)
    assert -(-height // step) * -(-width // step) <= SAMPLE + height // step + width // step + 1
    assert step == 1 or height * width > SAMPLE


def test_the_exposure_is_that_of_numpy_quantiles_and_does_not_ask_where_pixels_lie():
    levels = torch.randint(256, (2, 3, 31, 41), generator=torch.Generator().manual_seed(0)) / 255
    found = exposure(levels)
    assert found.shape == (2, EXPOSURE_DIM)
    brightest = found[:, len(QUANTILES) : 2 * len(QUANTILES)]
    expected = np.quantile(levels.amax(1).flatten(1).numpy(), QUANTILES, axis=1, method="inverted_cdf").T
    torch.testing.assert_close(brightest, torch.from_numpy(expected), atol=1e-6, rtol=0)
    order = torch.randperm(31 * 41, generator=torch.Generator().manual_seed(1))
    moved = levels.flatten(2)[:, :, order].view_as(levels)
    assert torch.equal(exposure(moved), found)
    half = len(found[0]) // 2
    torch.testing.assert_close(found[:, half:], (found[:, :half] + 0.01).log())


def test_a_few_lamps_in_the_dark_are_seen():
    dark = torch.full((1, 3, 100, 100), 0.1)
    lamps = dark.clone()
    lamps[:, :, ::33, ::33] = 1.0
    changed = (exposure(dark) != exposure(lamps))[0, : EXPOSURE_DIM // 2].view(4, -1)
    assert changed[:3, -1].all()
    assert not changed[:, :-1].any()

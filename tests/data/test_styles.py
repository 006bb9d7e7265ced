"""Looks that are no damage: neutral settings, and how far from damage they stay."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data

from clearair.data.degradations.lowlight import MOST
from clearair.data.styles import BLACK, Style, draw_style


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    """(3, 3, 192, 256) in [0, 1]."""
    crops = [data.astronaut()[:192, 100:356], data.coffee()[50:242, 100:356], data.chelsea()[:192, 60:316]]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def neutral(count: int = 3) -> Style:
    one, zero = torch.ones(count), torch.zeros(count)
    return Style(
        gain=one,
        gamma=one,
        black=zero,
        white=one,
        saturation=one,
        cast=torch.ones(count, 3),
        soft=torch.zeros(0, dtype=torch.long),
        defocus=torch.zeros(0),
        background=torch.zeros(0, 1, 192, 256),
    )


def drawn(photos: torch.Tensor, seed: int = 0, share: float = 1.0) -> Style:
    return draw_style(photos, torch.Generator().manual_seed(seed), share)


def test_the_neutral_look_leaves_the_picture_as_it_is(photos):
    assert torch.allclose(neutral()(photos), photos, atol=1e-6)


def test_without_a_share_every_picture_keeps_its_look(photos):
    assert torch.allclose(drawn(photos, share=0.0)(photos), photos, atol=1e-6)


def test_most_pictures_change_and_the_same_seed_changes_them_alike(photos):
    many = photos.repeat(8, 1, 1, 1)
    first, again = drawn(many)(many), drawn(many)(many)
    assert torch.equal(first, again)
    changed = (first - many).abs().mean((1, 2, 3)) > 1e-3
    assert changed.float().mean() > 0.7


def test_a_grey_picture_has_three_equal_channels(photos):
    grey = replace(neutral(), saturation=torch.zeros(3))(photos)
    assert torch.allclose(grey[:, 0], grey[:, 2], atol=1e-6)


def test_white_stays_brighter_and_black_darker_than_damage_would_leave_them(photos):
    many = torch.zeros(300, 3, 8, 8)
    black, white = (drawn(photos.new_full(many.shape, v))(photos.new_full(many.shape, v)) for v in (0.0, 1.0))
    assert black.max() <= BLACK
    green = white[:, 1]
    assert green.min() > 0.95 * MOST[0]  # where pale, underexposed and miscoloured come together
    assert green.quantile(0.1) > MOST[0] + 0.1


def test_a_soft_background_leaves_the_rest_sharp(photos):
    half = torch.zeros(3, 1, 192, 256)
    half[..., 128:] = 1
    soft = replace(neutral(), soft=torch.arange(3), defocus=torch.full((3,), 4.0), background=half)(photos)
    assert torch.allclose(soft[..., :128], photos[..., :128], atol=1e-6)
    detail = [image[..., 129:].diff(dim=3).abs().mean() for image in (photos, soft)]
    assert detail[1] < 0.6 * detail[0]
    assert abs(float(soft[..., -8:].mean() / photos[..., -8:].mean()) - 1) < 0.1

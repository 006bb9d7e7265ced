from dataclasses import replace

import pytest
import torch

from clearair.data.degradations.lowlight import (
    FITTED_GAMMA,
    LEVELS,
    Lowlight,
    _draw_from,
    draw_lowlight,
)


def noiseless(mean: float, gamma: float = 1.0) -> Lowlight:
    return Lowlight(
        mean=torch.full((3,), mean),
        most=torch.ones(3),
        gamma=torch.full((3,), gamma),
        cast=torch.ones(3, 3),
        shot=torch.zeros(3),
        read=torch.zeros(3),
        light=torch.ones(3, 1, 192, 256),
        unit=torch.randn(3, 3, 192, 256),
    )


def test_enough_light_leaves_the_image_unchanged(photos):
    assert torch.allclose(noiseless(1.0)(photos), photos, atol=1e-6)  # the photos have 8 bits


@pytest.mark.parametrize("mean", [0.03, 0.1, 0.2])
@pytest.mark.parametrize("gamma", [1.0, 1.5])
def test_the_dark_picture_has_the_wanted_mean(photos, mean, gamma):
    assert noiseless(mean, gamma).expose(photos).mean((1, 2, 3)).tolist() == pytest.approx(
        [mean] * 3, rel=1e-3
    )


def test_the_record_has_eight_bits(photos, generator):
    levels = draw_lowlight(torch.rand(3), (192, 256), generator)(photos) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)


def test_noise_weighs_more_in_the_dark(photos, generator):
    lowlight = replace(noiseless(0.05), shot=torch.full((3,), 0.005), read=torch.full((3,), 0.005))
    exposed = lowlight.expose(photos)
    relative = (lowlight.record(exposed) - exposed).abs() / exposed.clamp_min(1e-3)
    dark = exposed < exposed.mean()
    assert relative[dark].mean() > 2 * relative[~dark].mean()


def test_drawn_pictures_are_as_dark_as_asked(photos, generator):
    drawn = draw_lowlight(torch.tensor([0.0, 0.5, 1.0]), (192, 256), generator)
    means = replace(drawn, light=torch.ones(3, 1, 192, 256))(photos).mean((1, 2, 3))
    assert 0.2 < means[0] < 0.3
    assert 0.05 < means[1] < 0.12
    assert 0.02 < means[2] < 0.05


def test_light_falls_off_smoothly_in_some_pictures_and_in_others_not(generator):
    light = draw_lowlight(torch.ones(60), (96, 128), generator).light
    spread = light.amax((1, 2, 3)) - light.amin((1, 2, 3))
    assert 0.2 < (spread > 0).float().mean() < 0.6
    assert light.min() > 0
    assert light.max() <= 1
    assert light.diff(dim=3).abs().max() < 0.1


def test_uneven_light_keeps_the_wanted_mean_and_darkens_the_far_side(photos):
    falling = torch.linspace(1, 0.1, 256).expand(3, 1, 192, 256)
    even = noiseless(0.05)
    dark, uneven = even.expose(photos), replace(even, light=falling).expose(photos)
    assert uneven.mean((1, 2, 3)).tolist() == pytest.approx([0.05] * 3, rel=1e-3)
    assert (uneven[..., -64:].mean((1, 2, 3)) < 0.5 * dark[..., -64:].mean((1, 2, 3))).all()


def test_a_picture_dark_by_itself_is_still_darkened(photos):
    dim = photos * 0.2
    generator = torch.Generator().manual_seed(1)
    drawn = draw_lowlight(torch.tensor([0.0, 0.5, 1.0]), (192, 256), generator)
    share = drawn.expose(dim).mean((1, 2, 3)) / dim.mean((1, 2, 3))
    assert (share < 0.75).all()
    assert (share > 0.02).all()


def test_draws_from_quantiles_have_these_quantiles(generator):
    drawn = _draw_from(FITTED_GAMMA, generator, like=torch.ones(4000))
    share = torch.stack([(drawn < value).float().mean() for value in FITTED_GAMMA])
    expected = (torch.tensor(LEVELS) - LEVELS[0]) / (LEVELS[-1] - LEVELS[0])
    assert torch.allclose(share, expected, atol=0.03)


def test_half_of_the_dark_pictures_are_bluish_and_steep_as_measured(generator):
    drawn = draw_lowlight(torch.full((400,), 0.5), (8, 8), generator)
    product = (drawn.cast.log().sum(1)).abs() < 1e-5  # a measured colour keeps the middle
    assert 0.4 < product.float().mean() < 0.6
    measured = drawn.gamma[product]
    assert measured.median().item() == pytest.approx(FITTED_GAMMA[2], abs=0.05)
    assert drawn.cast[product, 2].mean() > drawn.cast[product, 0].mean()

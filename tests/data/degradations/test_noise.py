import pytest
import torch

from clearair.data.degradations import add_gaussian_noise
from clearair.data.degradations.noise import Noise, draw_noise


@pytest.mark.parametrize("sigma255", [15, 25, 50])
def test_gaussian_noise_has_its_standard_deviation_and_no_mean(generator, sigma255):
    grey = torch.full((1, 3, 256, 256), 0.5)
    noise = (add_gaussian_noise(grey, sigma255, generator) - grey) * 255
    assert noise.std().item() == pytest.approx(sigma255, rel=0.01)
    assert abs(noise.mean().item()) < 0.02 * sigma255


def test_gaussian_noise_is_neither_clipped_nor_rounded(generator):
    noisy = add_gaussian_noise(torch.zeros(3, 64, 64), 50, generator)
    assert (noisy < 0).float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_each_picture_may_have_its_own_sigma(generator):
    grey = torch.full((2, 3, 128, 128), 0.5)
    noise = add_gaussian_noise(grey, torch.tensor([5.0, 40.0]), generator) - grey
    assert (noise.std(dim=(1, 2, 3)) * 255).tolist() == pytest.approx([5, 40], rel=0.03)


def test_no_sigma_leaves_the_image_unchanged(photos):
    noise = Noise(torch.zeros(3), torch.full((3,), 0.5), torch.randn(photos.shape))
    assert torch.equal(noise(photos), photos)


def test_shot_noise_grows_with_the_light(generator):
    unit = torch.randn(1, 3, 128, 128, generator=generator)
    noise = Noise(torch.tensor([0.02]), torch.ones(1), unit)
    dark, bright = (noise(torch.full_like(unit, level)).std().item() for level in (0.2, 0.8))
    assert bright / dark == pytest.approx(2, rel=0.03)  # the root of the ratio of the light


def test_drawn_noise_has_unit_variance_however_its_channels_are_correlated(generator):
    noise = draw_noise(torch.full((64,), 0.5), (48, 48), generator)
    assert noise.unit.std(dim=(1, 2, 3)).tolist() == pytest.approx([1] * 64, abs=0.06)
    red, green = noise.unit[:, 0].flatten(1), noise.unit[:, 1].flatten(1)
    assert (red * green).mean(1).max() > 0.2


def test_of_a_few_sigmas_each_is_drawn_as_often_and_all_noise_is_white(generator):
    noise = draw_noise(torch.linspace(0, 1, 99), (32, 32), generator, sigmas=(15.0, 25.0, 50.0))
    values, counts = (255 * noise.sigma).unique(return_counts=True)
    assert values.tolist() == pytest.approx([15, 25, 50])
    assert counts.tolist() == [33, 33, 33]
    assert not noise.signal_share.any()
    channels = noise.unit.permute(1, 0, 2, 3).flatten(1)
    assert (torch.corrcoef(channels) - torch.eye(3)).abs().max() < 0.02

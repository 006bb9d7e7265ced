import math

import torch

from clearair.data.degradations import snow
from clearair.data.degradations.snow import Snow, _in_motion, draw_snow


def test_no_flakes_and_no_veil_leave_the_image_unchanged(photos):
    still = Snow(torch.zeros(3, 1, 192, 256), torch.ones(3, 3), torch.zeros(3, 1, 1, 1))
    assert torch.equal(still(photos), photos)


def test_an_opaque_flake_hides_the_scene(photos):
    flakes = torch.zeros(3, 1, 192, 256)
    flakes[..., 50:60, 50:60] = 1
    image = Snow(flakes, torch.full((3, 3), 0.9), torch.zeros(3, 1, 1, 1))(photos)
    assert torch.allclose(image[..., 50:60, 50:60], torch.tensor(0.9))
    assert torch.equal(image[..., 60:, :], photos[..., 60:, :])


def test_specks_are_bright_on_an_open_scene(generator, monkeypatch):
    monkeypatch.setattr(snow, "FALLING", 0.0)
    flakes = draw_snow(torch.full((8,), 0.5), (192, 256), generator).flakes
    assert ((flakes >= 0) & (flakes <= 1)).all()
    assert (flakes < 0.05).float().mean() > 0.6
    assert (flakes.amax((1, 2, 3)) > 0.7).all()


def test_more_snow_falls_at_greater_strength(generator):
    flakes = draw_snow(torch.tensor([0.0, 0.5, 1.0]).repeat_interleave(8), (128, 128), generator).flakes
    light, middle, heavy = flakes.reshape(3, -1).mean(1)
    assert light < middle < heavy


def test_the_same_seed_snows_harder_at_greater_strength(photos):
    scenes, error = photos.repeat(8, 1, 1, 1), []
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
        snowy = draw_snow(torch.full((24,), strength), (192, 256), torch.Generator().manual_seed(4))(scenes)
        error.append(float((snowy - scenes).square().mean((1, 2, 3)).median()))
    assert error == sorted(error)
    assert -10 * math.log10(error[0]) > 28  # hardly visible


def test_snow_as_photographed_is_softer_and_has_a_veil_that_grows_with_the_distance(monkeypatch):
    distance = torch.linspace(0, 1, 96).expand(32, 1, 96, 96)
    sharpness = []
    for share in (0.0, 1.1):
        monkeypatch.setattr(snow, "FALLING", share)
        drawn = draw_snow(torch.full((32,), 0.8), (96, 96), torch.Generator().manual_seed(5), distance)
        sharpness.append(float(drawn.flakes.diff(dim=-1).abs().mean() / drawn.flakes.mean()))
    assert sharpness[1] < 0.8 * sharpness[0]
    assert (drawn.veil[..., -8:].mean((1, 2, 3)) - drawn.veil[..., :8].mean((1, 2, 3))).max() > 0.3
    assert ((drawn.veil >= 0) & (drawn.veil <= 1)).all()


def test_a_flake_in_motion_is_drawn_out_along_its_fall():
    flake = torch.zeros(2, 1, 33, 33)
    flake[:, :, 16, 16] = 1
    still, moved = _in_motion(flake, torch.tensor([0.0, 12.0]), torch.zeros(2))
    assert torch.allclose(still, flake[0], atol=1e-6)
    column, row = moved[0, :, 16], moved[0, 16]
    assert column[10] > 0.2 * column[16] > 0
    assert row[:16].max() < 0.01 * column[16]

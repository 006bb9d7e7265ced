import torch

from clearair.data.degradations.snow import Snow, draw_snow


def test_no_flakes_and_no_veil_leave_the_image_unchanged(photos):
    snow = Snow(torch.zeros(3, 1, 192, 256), torch.ones(3, 3), torch.zeros(3))
    assert torch.equal(snow(photos), photos)


def test_an_opaque_flake_hides_the_scene(photos):
    flakes = torch.zeros(3, 1, 192, 256)
    flakes[..., 50:60, 50:60] = 1
    image = Snow(flakes, torch.full((3, 3), 0.9), torch.zeros(3))(photos)
    assert torch.allclose(image[..., 50:60, 50:60], torch.tensor(0.9))
    assert torch.equal(image[..., 60:, :], photos[..., 60:, :])


def test_flakes_are_bright_specks_on_an_open_scene(generator):
    flakes = draw_snow(torch.full((8,), 0.5), (192, 256), generator).flakes
    assert ((flakes >= 0) & (flakes <= 1)).all()
    assert (flakes < 0.05).float().mean() > 0.6
    assert (flakes.amax((1, 2, 3)) > 0.7).all()


def test_more_snow_falls_at_greater_strength(generator):
    flakes = draw_snow(torch.tensor([0.0, 0.5, 1.0]).repeat_interleave(8), (128, 128), generator).flakes
    light, middle, heavy = flakes.reshape(3, -1).mean(1)
    assert light < middle < heavy

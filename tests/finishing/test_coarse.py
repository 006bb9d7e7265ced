import torch
import torch.nn.functional as F

from clearair.finishing.coarse import COARSE, coarse_part, tonal_part


def test_the_coarse_part_is_what_two_means_leave_and_keeps_what_is_even():
    x = torch.rand(2, 3, 30, 41)
    middle = F.avg_pool2d(F.avg_pool2d(x, COARSE, 1), COARSE, 1)
    edge = COARSE - 1
    assert torch.allclose(coarse_part(x)[..., edge:-edge, edge:-edge], middle, atol=1e-6)
    assert torch.allclose(coarse_part(torch.full((1, 3, 5, 2), 0.3)), torch.tensor(0.3))


def test_a_change_of_tone_is_all_tonal():
    picture = F.interpolate(torch.rand(2, 3, 8, 10), (90, 121), mode="bilinear")
    light = picture.mean(dim=1, keepdim=True)
    change = torch.cat([0.3 * light - 0.1, -0.2 * light, torch.full_like(light, 0.05)], dim=1)
    assert torch.allclose(tonal_part(change, picture), change, atol=0.01)
    even = torch.full_like(change, 0.07)
    assert torch.allclose(tonal_part(even, picture), even, atol=1e-5)


def test_what_is_tonal_keeps_the_edges_of_the_picture():
    picture = torch.full((1, 3, 96, 96), 0.8)
    picture[..., 48:] = 0.2
    drawn = torch.where(picture > 0.5, -0.05, 0.1)
    blurred = coarse_part(coarse_part(drawn))  # a rim along the edge
    assert (blurred - drawn).abs().max() > 0.06
    assert (tonal_part(blurred, picture) - drawn).abs().max() < 0.03

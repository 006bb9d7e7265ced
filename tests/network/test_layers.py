import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clearair.network.layers import (
    COARSE,
    Conv2d,
    LayerNorm,
    coarse_part,
    to_maps,
    to_pixels,
    tonal_part,
    without_lattice,
)


def test_with_a_bias_it_is_the_usual_layer_norm():
    x = torch.randn(2, 6, 3, 5)
    norm = LayerNorm(6)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    expected = F.layer_norm(x.permute(0, 2, 3, 1), (6,), norm.weight, norm.bias).permute(0, 3, 1, 2)
    assert torch.allclose(norm(x), expected, atol=1e-6)


def test_without_a_bias_the_mean_stays():
    x = torch.tensor([10.0, 12.0]).reshape(1, 2, 1, 1)  # mean 11, standard deviation 1
    assert LayerNorm(2, bias=False)(x).flatten().tolist() == pytest.approx([10, 12], rel=1e-4)
    assert LayerNorm(2, bias=True)(x).flatten().tolist() == pytest.approx([-1, 1], rel=1e-4)


def test_each_position_is_normalised_by_itself():
    x = torch.randn(1, 8, 4, 4)
    changed = x.clone()
    changed[..., 0, 0] *= 100
    for bias in (True, False):
        before, after = LayerNorm(8, bias)(x), LayerNorm(8, bias)(changed)
        assert torch.equal(before[..., 1:, :], after[..., 1:, :])


def test_maps_to_pixels_and_back():
    x = torch.randn(2, 3, 4, 5)
    pixels = to_pixels(x)
    assert torch.equal(pixels[1, 2 * 5 + 3], x[1, :, 2, 3])
    assert torch.equal(to_maps(pixels, 4, 5), x)


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


def test_a_lattice_is_taken_out_and_a_picture_stays():
    smooth = F.interpolate(torch.randn(1, 3, 4, 4), (96, 96), mode="bicubic")
    lattice, flat = _lattice(), torch.zeros(1, 3, 96, 96)
    cleaned = _drawn(smooth + lattice, flat)
    even = lattice.mean(dim=(2, 3), keepdim=True)  # what a lattice adds to all pixels alike is not its own
    assert (cleaned - smooth - even).abs().max() < 0.05 * smooth.abs().max()
    # White noise, which differs from cell to cell, loses no more than its mean over many cells.
    picture = torch.randn(1, 3, 96, 96)
    assert (_drawn(picture, flat) - picture).std() < 0.1 * picture.std()


def test_a_slope_stays_a_slope_and_becomes_no_staircase():
    down, across = torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 80), indexing="ij")
    slopes = torch.stack([down, across, 0.3 * across - down])[None]
    assert (_drawn(slopes, torch.zeros_like(slopes)) - slopes).abs().max() < 1e-5
    waves = torch.sin(4 * slopes)
    assert (_drawn(waves, torch.zeros_like(slopes)) - waves).abs().max() < 1e-3


@pytest.mark.parametrize("size", [(2, 2), (2, 50), (50, 2)])
def test_pictures_of_a_cell_or_a_row_of_cells_have_no_slope(size):
    picture = torch.full((1, 3, *size), 0.4)
    assert torch.allclose(_drawn(picture, torch.zeros_like(picture)), picture)


def test_a_pattern_that_is_there_may_be_faded():
    lattice = _lattice()
    even = lattice.mean(dim=(2, 3), keepdim=True)
    there = lattice - even
    assert torch.allclose(_drawn(-0.7 * there, there), -0.7 * there, atol=1e-5)


def test_a_pattern_that_is_there_is_neither_turned_over_nor_strengthened():
    there = _lattice()
    there = there - there.mean(dim=(2, 3), keepdim=True)
    assert torch.allclose(_drawn(-1.5 * there, there), -there, atol=1e-5)
    assert _drawn(0.5 * there, there).abs().max() < 1e-5


def test_a_lattice_that_is_always_the_same_is_no_fading_of_what_a_picture_holds_of_it():
    generator = torch.Generator().manual_seed(0)
    there = torch.randn(1, 3, 192, 192, generator=generator)  # of which the mean over 20 x 20 cells is not 0
    faint = 0.02 * _lattice().repeat(1, 1, 2, 2)
    left = _drawn(faint, there) - faint.mean(dim=(2, 3), keepdim=True)
    pattern = F.pixel_unshuffle(left, 2).mean(dim=(2, 3))
    wanted = F.pixel_unshuffle(faint - faint.mean(dim=(2, 3), keepdim=True), 2).mean(dim=(2, 3))
    assert pattern.norm() < 0.1 * wanted.norm()


def test_noise_is_taken_off_to_its_very_mean():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 3, 192, 192, generator=generator)
    estimate = noise + 0.3 * torch.randn(1, 3, 192, 192, generator=generator)
    assert (noise + _drawn(-estimate, noise)).std() < 1.01 * (noise - estimate).std()


def test_cells_of_one_pixel_have_no_lattice():
    picture = torch.randn(2, 3, 5, 7)
    assert torch.allclose(without_lattice(picture, torch.randn(2, 3, 5, 7), 1), picture)


def _lattice() -> torch.Tensor:
    return torch.randn(3, 2, 2).repeat(1, 48, 48)[None]


def _drawn(added: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    cells = (F.pixel_unshuffle(image, 2) for image in (added, there))
    return F.pixel_shuffle(without_lattice(*cells, 2), 2)


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"groups": 4, "bias": False}])
def test_a_border_is_repeated_in_half_precision_as_pytorch_does_in_float32(options):
    ours, theirs = (
        kind(4, 8, 3, padding=1, padding_mode="replicate", **options) for kind in (Conv2d, nn.Conv2d)
    )
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 4, 7, 6)
    assert torch.equal(ours(x), theirs(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(x.bfloat16()), theirs(x.bfloat16()))

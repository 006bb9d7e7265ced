import pytest
import torch
import torch.nn.functional as F

from clearair.finishing.lattice import without_lattice


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

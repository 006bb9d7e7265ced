import numpy as np
import pytest
from artifacts import frame, lattice

from clearair.errors import DataError


def texture(count=4, side=256):
    """What networks add to pictures: more at low frequencies, with upright and level edges."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, (count, side, side, 3)).astype(np.float32)
    blocks = rng.normal(0, 0.03, (count, 5, 7, 3)).astype(np.float32)
    return noise + blocks.repeat(53, 1).repeat(37, 2)[:, :side, :side]


def grid(period, side=256):
    axis = np.arange(side)
    return (axis[:, None, None] % period == 0) | (axis[None, :, None] % period == 0)


def prominence(values):
    return {period: found.prominence for period, found in lattice(values).items()}


def test_without_a_lattice_no_period_stands_out():
    assert max(prominence(texture()).values()) < 2


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_planted_lattice_is_found_though_it_cannot_be_seen(period):
    assert prominence(texture() + 0.005 * grid(period))[period] > 5


def test_stripes_of_eight_pixels_are_told_from_shorter_ones_and_measured():
    stripes = 0.004 * np.sin(2 * np.pi * np.arange(256) / 8)[None, :, None]
    found = lattice(texture() + stripes.astype(np.float32))
    assert found[8].prominence > 5
    assert max(found[2].prominence, found[4].prominence) < 2
    assert found[8].rms == pytest.approx(0.004 / 2**0.5, rel=0.3)


@pytest.mark.parametrize("period", [2, 4, 8])
def test_the_size_of_a_lattice_on_nothing_is_exact(period):
    phases = np.random.default_rng(1).normal(0, 0.01, (period, period)).astype(np.float32)
    values = np.tile(phases, (128 // period, 128 // period))[None, :, :, None]
    found = lattice(values)
    total = sum(found[p].rms ** 2 for p in (2, 4, 8))
    assert total**0.5 == pytest.approx(phases.std(), rel=1e-3)


def test_where_nothing_was_added_there_is_no_lattice():
    found = lattice(np.zeros((1, 128, 128, 3), np.float32))
    assert {(one.prominence, one.rms) for one in found.values()} == {(0, 0)}


def test_too_small_a_picture_is_refused():
    with pytest.raises(DataError, match="100 x 120"):
        lattice(np.zeros((1, 120, 100, 3), np.float32))
    with pytest.raises(DataError, match="all border"):
        frame(np.zeros((1, 16, 40, 3), np.float32))


def test_a_planted_frame_is_found():
    values = texture()
    assert frame(values).ratio == pytest.approx(1, abs=0.1)
    values[:, :8] += 0.1
    values[:, -8:] += 0.1
    values[:, :, :8] += 0.1
    values[:, :, -8:] += 0.1
    found = frame(values)
    assert found.ratio > 1.8
    assert found.border_mean - found.inside_mean > 0.09


def test_one_side_is_frame_enough():
    values = np.full((1, 64, 64, 3), 0.01, np.float32)
    values[:, -8:] = 0.03
    found = frame(values)
    assert found.inside_rms == pytest.approx(0.01)
    assert found.border_rms > 0.015

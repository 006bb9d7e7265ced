"""Networks that only take pictures: in full, in tiles, and held back where that is asked for."""

import functools

import numpy as np
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from torch import nn

from clearair.errors import ModelError, OutOfMemoryError, UsageError
from clearair.models.public import PublicModel
from clearair.perception import load_compact
from clearair.restorer import Restorer
from clearair.runtime.plain import CONTEXT, GRID, PlainRuntime, widened
from clearair.tiling import Window


class Lift(nn.Module):
    """Makes pictures brighter."""

    def __init__(self, by=0.1):
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by, dtype=torch.float64))

    def forward(self, image):
        return image + self.by


class Blocks(nn.Module):
    """Means over blocks, like a network that halves a picture five times; it pads right and below."""

    def forward(self, image):
        height, width = image.shape[2:]
        padded = F.pad(image, (0, -width % 32, 0, -height % 32), mode="replicate")
        means = F.interpolate(F.avg_pool2d(padded, 32), scale_factor=32)
        return means[:, :, :height, :width]


class Blur(nn.Module):
    """Means over 33 pixels, as many on each side of a window as it is widened by."""

    def forward(self, image):
        reach = CONTEXT
        return F.avg_pool2d(F.pad(image, [reach] * 4, mode="replicate"), 2 * reach + 1, stride=1)


class Grey(nn.Module):
    """Inverts pictures of one channel, and counts them."""

    calls = 0

    def forward(self, image):
        assert image.shape[:2] == (1, 1)
        self.calls += 1
        return 1 - image


class Fails(nn.Module):
    """Raises for pictures above a size."""

    def __init__(self, most, error):
        super().__init__()
        self.most, self.error = most, error

    def forward(self, image):
        if image.shape[2] * image.shape[3] > self.most:
            if self.error is None:
                torch.empty(1 << 60)
            raise self.error
        return image


@functools.cache
def perceiver():
    return load_compact()


def make(network, *, precision="auto", tile="off", cautious=False, **about):
    model = PublicModel("network.pth", type(network).__name__, network, **about)
    runtime = PlainRuntime(model, device="cpu", precision=precision)
    return Restorer(runtime, perceiver(), tile=tile, cautious=cautious)


@pytest.fixture(scope="module")
def picture():
    return skimage.data.chelsea()[40:175, 100:253]


def test_every_picture_is_restored_in_full_and_what_is_found_is_reported(picture):
    result = make(Lift())(picture)
    expected = np.clip(np.rint(picture + 25.5), 0, 255)
    assert np.abs(result.image - expected).max() <= 1
    assert result.outcome.share == 1
    assert "nothing found: restored all the same, as this model restores every photo" in str(result.outcome)
    assert result.percepts.names


def test_the_strength_and_what_the_user_says_hold(picture):
    restorer = make(Lift())
    half = restorer(picture, strength=0.5).image
    assert (half.astype(int) - picture).mean() == pytest.approx(12.75, abs=0.6)
    assert restorer(picture, damage="none").outcome.changed is False
    assert "named noise: restored" in str(restorer(picture, damage="noise").outcome)


def test_on_request_a_picture_is_changed_only_as_far_as_damage_is_found(picture):
    cautious = make(Lift(), cautious=True)
    kept = cautious(picture)
    assert str(kept.outcome).startswith("nothing found: left as it is")
    np.testing.assert_array_equal(kept.image, picture)
    noise = np.random.default_rng(0).normal(0, 40, picture.shape)
    noisy = (picture + noise).clip(0, 255).astype(np.uint8)
    changed = cautious(noisy)
    assert changed.outcome.share == pytest.approx(changed.percepts.change, abs=1e-3)
    assert changed.outcome.share > 0.9
    told = cautious(picture, damage="noise")
    assert told.outcome.changed


def test_tiles_are_met_in_the_phase_of_the_whole_picture(picture):
    # Pooled in other places, blocks would differ by whole grey levels.
    whole, tiled = make(Blocks())(picture).image, make(Blocks(), tile=96)(picture).image
    np.testing.assert_array_equal(tiled, whole)


def test_a_window_sees_what_lies_around_it(picture):
    whole, tiled = make(Blur())(picture).image, make(Blur(), tile=64)(picture).image
    assert np.abs(tiled.astype(int) - whole).max() <= 1  # rounding


@pytest.mark.parametrize("grid", [32, 128])
def test_widened_windows_start_on_the_grid_and_stay_in_the_picture(grid):
    size = (500, 77)
    for top, height in [(0, 500), (0, 96), (8, 64), (200, 100), (436, 64)]:
        window = Window(top, 0, height, 77)
        seen = widened(window, size, grid)
        bottom = seen.top + seen.height
        assert (seen.left, seen.width) == (0, 77)
        assert seen.top % grid == 0
        assert bottom % grid == 0 or bottom == 500
        assert seen.top <= max(0, top - CONTEXT)
        assert bottom >= min(500, top + height + CONTEXT)


def test_a_network_with_a_coarser_grid_gets_its_multiples():
    assert make(Lift(), multiple=48).runtime._grid == 96
    assert make(Lift()).runtime._grid == GRID


def test_a_grey_network_takes_the_channels_one_by_one_and_a_grey_picture_once(picture):
    network = Grey()
    restorer = make(network, channels=1)
    network.calls = 0
    np.testing.assert_array_equal(restorer(picture).image, 255 - picture)
    assert network.calls == 3
    grey = picture[..., 0]
    np.testing.assert_array_equal(restorer(grey).image, 255 - grey)
    assert network.calls == 4


def test_sixteen_bits_stay_sixteen_bits(picture):
    deep = picture.astype(np.uint16) * 200 + 37
    image = make(Grey(), channels=1, tile=64)(deep).image
    assert image.dtype == np.uint16
    assert np.abs(image.astype(int) - (65535 - deep.astype(int))).max() <= 1


def test_with_keep_tone_the_mean_colour_of_places_stays(picture):
    result = make(Lift())(picture, keep_tone=True)
    assert np.abs(result.image.astype(int) - picture).max() <= 1


def test_networks_that_see_the_whole_get_larger_tiles():
    assert make(Lift(), tile="auto", sees_whole=True).side == 2 * make(Lift(), tile="auto").side
    assert make(Lift(), tile=96, sees_whole=True).side == 96


def test_it_is_computed_in_what_it_is_made_for(picture):
    assert make(Lift()).runtime.precision == "fp32"
    assert make(Lift(), precision="bf16").runtime.precision == "bf16"
    with pytest.raises(UsageError, match=r"network\.pth: Lift is not made for fp16; use fp32 or bf16\."):
        make(Lift(), precision="fp16")


def test_in_bfloat16_a_convolution_gives_nearly_the_same(picture):
    torch.manual_seed(0)
    network = nn.Conv2d(3, 3, 3, padding=1)
    with torch.no_grad():
        network.weight.mul_(0.2)
    full, short = (make(network, precision=each)(picture).image.astype(int) for each in ("fp32", "bf16"))
    assert 0 < np.abs(full - short).max() <= 3


def test_a_network_of_another_size_or_kind_is_refused_in_one_line():
    with pytest.raises(ModelError, match=r"makes \(1, 3, 32, 32\) of \(1, 3, 64, 64\)"):
        make(nn.AvgPool2d(2))
    with pytest.raises(ModelError, match="Fails does not run on 64 x 64 px in fp32: two lines") as caught:
        make(Fails(0, ValueError("two\nlines")))
    assert "\n" not in str(caught.value)


def test_a_size_that_a_network_cannot_take_is_told_with_it(picture):
    with pytest.raises(ModelError, match="does not run on 153 x 135 px"):
        make(Fails(100 * 100, ValueError("too large")))(picture)


@pytest.mark.parametrize("error", [None, MemoryError()])
def test_too_little_memory_means_smaller_tiles(picture, error):
    result = make(Fails(130 * 130, error))(picture)
    np.testing.assert_array_equal(result.image, picture)
    assert "in tiles of" in result.photo.notes[0]
    restorer = make(Fails(64 * 64, error))
    with pytest.raises(OutOfMemoryError, match="not enough memory for 153 x 135 px"):
        restorer(picture)


def test_it_cannot_be_saved_as_a_model_of_clearair(tmp_path):
    with pytest.raises(ModelError, match=r"network\.pth: Lift cannot be saved as a model of clearair"):
        make(Lift()).save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()

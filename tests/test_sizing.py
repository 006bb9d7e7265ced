"""How large tiles are, and what a photo costs."""

import numpy as np
import pytest
import torch

from clearair import ImageError, UsageError
from clearair.finishing import FinishedNetwork
from clearair.image import Photo
from clearair.network import TINY
from clearair.runtime.pytorch import PyTorchRuntime
from clearair.sizing import AUTO_SIDE, Sizing, smaller_side


@pytest.fixture(scope="module")
def runtime():
    torch.manual_seed(0)
    return PyTorchRuntime(FinishedNetwork(TINY), device="cpu", precision="fp32")


def photo(height, width):
    return Photo(np.zeros((height, width, 3), np.uint8))


@pytest.mark.parametrize("tile", [8, "x", 64.5, None, True])
def test_a_side_that_makes_no_sense_is_refused(runtime, tile):
    with pytest.raises(UsageError, match="tile"):
        Sizing(runtime, tile, None)


def test_a_side_that_was_asked_for_is_kept(runtime):
    assert Sizing(runtime, 64, None).side_for(photo(300, 200)) == 64
    assert Sizing(runtime, "off", None).side_for(photo(300, 200)) is None


def test_what_judges_a_picture_by_all_of_it_gets_larger_tiles(runtime):
    class Whole(PyTorchRuntime):
        sees_whole = True

    whole = Whole(runtime.network, device="cpu", precision="fp32")
    assert Sizing(runtime, "auto", None).side == AUTO_SIDE["cpu"]
    assert Sizing(whole, "auto", None).side == 2 * AUTO_SIDE["cpu"]


def test_a_photo_that_the_budget_has_no_room_for_is_refused(runtime):
    sizing = Sizing(runtime, "auto", 1 << 40)
    assert sizing.cost(400, 300, 3) < sizing.cost(4000, 3000, 3)
    with pytest.raises(ImageError, match="of memory"):
        sizing.cost(4_000_000, 3_000_000, 3)


def test_sides_are_halved_down_to_the_smallest():
    assert smaller_side(512, (4000, 3000)) == 256
    assert smaller_side(None, (150, 100)) == 75
    assert smaller_side(512, (150, 100)) == 75
    assert smaller_side(smaller_side(16, (150, 100)) or 1, (150, 100)) is None

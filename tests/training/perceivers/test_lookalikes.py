"""Scenes that only look damaged: which they are."""

from __future__ import annotations

import pytest
import skimage.data
import torch

from clearair.training.perceivers.lookalikes import MIST, dark_channel, is_dark, is_pale


def test_the_dark_channel_is_the_darkest_value_around_a_place():
    images = torch.full((1, 3, 64, 80), 0.8)
    images[0, 1, 20, 30] = 0.1
    channel = dark_channel(images)
    assert float(channel.min()) == pytest.approx(0.1)
    assert float(channel.max()) == pytest.approx(0.8)
    assert (channel < 0.5).sum() <= 4  # seen from at most two windows each way
    assert dark_channel(images / 4).mean() < MIST < channel.mean()


def test_a_night_is_dark_a_mist_is_pale_and_a_day_neither():
    day = torch.from_numpy(skimage.data.astronaut()[100:292, 100:316]).permute(2, 0, 1)
    night, mist = day // 4, 128 + day // 2
    assert [is_dark(scene) for scene in (night, day, mist)] == [True, False, False]
    assert [is_pale(scene) for scene in (night, day, mist)] == [False, False, True]

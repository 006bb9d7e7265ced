"""Small real perceivers and pictures for the tests of perception."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray

from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.eyes import CompactEyes
from clearair.perception.compact.perceiver import CompactPerceiver
from clearair.percepts import Percepts

TINY = EyesConfig(
    far_pixels=64 * 64,
    far_widths=(4, 6, 8, 10),
    near_side=16,
    near_crops=6,
    near_spacing=24,
    near_widths=(4, 6, 8),
    dense_width=12,
    quality_dim=5,
    content_dim=7,
    degradation_dim=6,
    region_dim=4,
    region_count=5,
)


@pytest.fixture
def tiny_eyes() -> CompactEyes:
    torch.manual_seed(0)
    return CompactEyes(TINY).eval()


@pytest.fixture
def tiny_perceiver(tiny_eyes: CompactEyes) -> CompactPerceiver:
    return CompactPerceiver(tiny_eyes)


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """A photograph, 256 x 256."""
    pairs = skimage.data.astronaut().reshape(256, 2, 256, 2, 3)
    return pairs.mean(axis=(1, 3)).round().astype(np.uint8)


def same_percepts(one: Percepts, other: Percepts) -> bool:
    """Whether two looks found exactly the same."""
    values = [{**vars(each), **vars(each.guidance)} for each in (one, other)]
    return all(
        np.array_equal(mine, values[1][name]) for name, mine in values[0].items() if name != "guidance"
    )

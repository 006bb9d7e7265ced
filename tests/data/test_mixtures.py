"""Mixtures: which kinds of damage come together, and how often."""

from collections import Counter

import pytest
import torch

from clearair.data.degradations import KINDS
from clearair.data.mixtures import BELOW, MIXTURES, ON_TOP, draw_mixture


def drawn(count: int) -> Counter[tuple[str, ...]]:
    generator = torch.Generator().manual_seed(3)
    return Counter(draw_mixture(generator) for _ in range(count))


def test_several_kinds_come_together_and_none_twice():
    for kinds in drawn(500):
        assert len(set(kinds)) == len(kinds) > 1
        assert set(kinds) <= set(KINDS)


def test_every_kind_is_drawn_under_noise_and_under_jpeg_and_so_is_every_mixture_of_weather():
    found = set(drawn(3000))
    assert {(kind, top) for kind in BELOW for top in ON_TOP} <= found
    assert set(MIXTURES) <= found
    assert {(*kinds, top) for kinds in MIXTURES for top in ON_TOP} <= found


def test_a_third_are_one_kind_under_what_a_camera_adds():
    counts = drawn(3000)
    share = sum(counts[kind, top] for kind in BELOW for top in ON_TOP) / 3000
    any_two = 0.15 * 12 / 56  # drawn by chance, in this order
    assert share == pytest.approx(0.3 + any_two, abs=0.03)

"""Where a kind is found follows from validation pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from clearair.data.degradations import KINDS
from clearair.training.perceivers.observations import Observations
from clearair.training.perceivers.thresholds import best_blend, ramps, recall, thresholds


def observed(logits: Tensor, there: Tensor, groups: list[str]) -> Observations:
    """Pictures with one number seen for each kind."""
    return Observations(logits, torch.zeros_like(logits), there, torch.ones_like(logits), tuple(groups))


def test_no_more_false_alarms_are_spent_than_there_may_be_and_where_they_help():
    generator = torch.Generator().manual_seed(2)
    clean = torch.randn(200, 2, generator=generator)
    haze, rain = torch.randn(100, 2, generator=generator), torch.randn(100, 2, generator=generator)
    haze[:, 0] += 2.5  # mixed with the highest of the clean ones
    rain[:, 1] += 20  # found without any false alarm
    there = torch.zeros(400, 2)
    there[200:300, 0] = there[300:, 1] = 1
    logits = torch.cat([clean, haze, rain])
    seen = observed(logits, there, ["undamaged"] * 200 + ["haze"] * 100 + ["rain"] * 100)
    found = thresholds(logits, seen, 0.01, 0.03)
    fired = clean > found
    assert 1 <= fired[:, 0].sum() <= 2
    assert fired[:, 1].sum() == 0
    strict = thresholds(logits, seen, 0.01, 0.01)
    assert (clean > strict).any(dim=1).sum() <= 2
    assert recall(logits[:, 0], found[0], seen, 0) >= recall(logits[:, 0], clean[:, 0].max(), seen, 0)


def test_the_eyes_are_blended_in_where_they_know_more():
    there = torch.tensor([[0.0]] * 50 + [[1.0]] * 50)
    seen = observed(torch.zeros(100, 1), there, ["undamaged"] * 50 + ["haze"] * 50)
    guess = torch.linspace(-1, 1, 100).roll(37)
    sure = 6 * there[:, 0] - 3
    assert best_blend(guess, sure, seen, 0) > 0
    assert best_blend(sure, guess, seen, 0) == 0


def test_ramps_rise_from_where_a_kind_is_found():
    caution = ramps(torch.linspace(-3, 4, len(KINDS)), dict.fromkeys(KINDS, 1.0) | {"snow": 2.0})
    for index, kind in enumerate(KINDS):
        doubt, sure = caution.ramp(kind)
        found = float(torch.linspace(-3, 4, len(KINDS))[index].sigmoid())
        assert found < doubt < sure < 1
        assert doubt - found < 0.02

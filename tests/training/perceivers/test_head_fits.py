"""A head is fitted, and its probabilities mean what they say."""

from __future__ import annotations

import pytest
import torch

from clearair.training.perceivers.head_fits import calibrate, calibration_error, fit

NAN = float("nan")


def test_a_fit_finds_what_tells_a_kind_and_leaves_what_nobody_knows():
    generator = torch.Generator().manual_seed(0)
    seen = torch.randn(400, 3, generator=generator) * torch.tensor([1.0, 100.0, 1e-3])
    label = torch.stack([(seen[:, 1] > 0).float(), torch.full((400,), NAN)], dim=1)
    label[:3, 0] = 1 - label[:3, 0]
    label[:3, 0] = NAN
    mean, spread, rows, bias = fit(seen, label, torch.ones(400, 2), 1e-3)
    logits = ((seen - mean) / spread) @ rows.T + bias
    known = ~label[:, 0].isnan()
    assert ((logits[known, 0] > 0) == (label[known, 0] == 1)).float().mean() > 0.97
    assert rows[0].abs().argmax() == 1
    assert rows[1].abs().max() < 1e-6


def test_calibration_undoes_certainty_that_is_too_great():
    generator = torch.Generator().manual_seed(1)
    honest = 2 * torch.randn(4000, 1, generator=generator)
    label = (torch.rand(4000, 1, generator=generator) < honest.sigmoid()).float()
    slope, offset = calibrate(5 * honest + 3, label)
    assert float(slope) == pytest.approx(0.2, abs=0.02)
    assert float(offset) == pytest.approx(-0.6, abs=0.1)
    before, after = (
        calibration_error(logits, label) for logits in (5 * honest + 3, slope * (5 * honest + 3) + offset)
    )
    assert float(after) < 0.03 < float(before)


def test_a_kind_that_is_always_told_right_does_not_become_certain_without_bound():
    logits = torch.tensor([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])[:, None]
    slope, offset = calibrate(logits, (logits > 0).float())
    assert (slope * 3 + offset).sigmoid() < 0.95

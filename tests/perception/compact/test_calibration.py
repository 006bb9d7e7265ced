"""Calibration: what is fitted, and that nothing else changes."""

from __future__ import annotations

import torch

from clearair.perception.compact.calibration import calibrate, fit_scaling
from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.eyes import CompactEyes


def draws(count: int = 40_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of two kinds, and presence drawn from the probabilities that they mean."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(count, 2, generator=generator)
    return logits, torch.rand(count, 2, generator=generator) < logits.sigmoid()


def test_true_logits_are_left_alone():
    scale, offset = fit_scaling(*draws())
    torch.testing.assert_close(scale, torch.ones(2), atol=0.05, rtol=0)
    torch.testing.assert_close(offset, torch.zeros(2), atol=0.05, rtol=0)


def test_overconfident_and_biased_logits_are_put_right():
    logits, present = draws()
    scale, offset = fit_scaling(2 * logits + torch.tensor([1.0, -1.0]), present)
    torch.testing.assert_close(scale, torch.full((2,), 0.5), atol=0.05, rtol=0)
    torch.testing.assert_close(offset, torch.tensor([-0.5, 0.5]), atol=0.05, rtol=0)


def test_a_kind_never_seen_stays_finite():
    scale, offset = fit_scaling(torch.randn(30, 2), torch.tensor([[True, False]]).expand(30, 2))
    assert scale.isfinite().all()
    assert offset.abs().max() < 10


def test_only_the_kind_head_changes_and_the_mean_probability_fits():
    torch.manual_seed(0)
    eyes = CompactEyes(EyesConfig(far_pixels=1024)).eval()
    before = {name: value.clone() for name, value in eyes.state_dict().items()}
    images, kinds = torch.rand(64, 3, 48, 48), torch.zeros(64, 8, dtype=torch.bool)
    kinds[:48, 2] = True
    calibrate(eyes, [(images[:32], kinds[:32]), (images[32:], kinds[32:])])
    changed = {name for name, value in eyes.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"kind_head.weight", "kind_head.bias"}
    with torch.no_grad():
        mean = eyes.kind_logits(eyes(images).degradation).sigmoid().mean(0)
    assert abs(float(mean[2]) - 0.75) < 0.08
    assert mean[[0, 1, 3, 4, 5, 6, 7]].max() < 0.3

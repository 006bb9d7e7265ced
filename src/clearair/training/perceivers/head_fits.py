"""Fits of a linear head: ridge logistic regression, and calibrated probabilities.

Shapes: N pictures, K kinds, D entries of what the head reads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.perception.compact.recognition import OUTLIER
from clearair.training.perceivers.calibration import regress


def fit(seen: Tensor, label: Tensor, weight: Tensor, ridge: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ridge logistic regression of labels (N, K), NaN where unknown, on (N, D).

    Returns mean and spread (D,) of the features, and weight (K, D) and bias (K,) of the head. Pictures are
    weighted by `weight` (N, K); each kind's loss is the mean over its known labels.
    """
    mean, spread = seen.mean(dim=0), seen.std(dim=0).clamp_min(1e-4)
    scaled = ((seen - mean) / spread).clamp(-OUTLIER, OUTLIER)
    known = weight * ~label.isnan()
    known = known / known.sum(dim=0).clamp_min(1e-6)
    rows, bias = regress(scaled, label.nan_to_num(), known, ridge)
    return mean, spread, rows, bias


def calibrate(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Platt scaling (Platt, 1999): slope and offset (K,) that fit logits (N, K) to labels best."""
    lines = [
        _line(kind[~truth.isnan()], truth[~truth.isnan()])
        for kind, truth in zip(logits.unbind(1), label.unbind(1), strict=True)
    ]
    slope, offset = torch.stack(lines).unbind(1)
    return slope.clamp_min(0.05), offset


def _line(logits: Tensor, truth: Tensor) -> Tensor:
    """Slope and offset (2,) for one kind, logits and labels (N,)."""
    there = truth == 1
    # Platt's targets: otherwise the logits of a kind that is always found would grow without bound.
    target = torch.where(there, 1 - 1 / (there.sum() + 2), 1 / ((~there).sum() + 2)).double()
    line = torch.tensor([1.0, 0.0], dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([line], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        scaled = line[0] * logits.double() + line[1]
        loss = F.binary_cross_entropy_with_logits(scaled, target)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return line.detach().float()


def calibration_error(logits: Tensor, label: Tensor, bins: int = 10) -> Tensor:
    """Expected calibration error of each kind (K,), over equal ranges (Guo et al., 2017)."""
    probabilities = logits.sigmoid()
    errors = []
    for kind in range(label.shape[1]):
        known = ~label[:, kind].isnan()
        said, truth = probabilities[known, kind], label[known, kind]
        place = (said * bins).long().clamp_max(bins - 1)
        inside = [place == index for index in range(bins) if (place == index).any()]
        gaps = [(said[here].mean() - truth[here].mean()).abs() * here.float().mean() for here in inside]
        errors.append(torch.stack(gaps).sum())
    return torch.stack(errors)

"""Make probabilities mean what they say: of all that is named with 0.8, four in five are there.

Training shows crops, damaged at random. What people restore are whole pictures, and among them scenes that
are meant to be dark, pale or misty: the head that names kinds is linear, so it is fitted to all of these at
the end.

Shapes: N pictures, K kinds, D entries of the degradation embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.perception.compact.eyes import SHARPNESS, CompactEyes

FAITH = 1e-5
"""How much the head as it was trained is believed: weight of the squared distance to it in the loss."""


@dataclass(frozen=True)
class Exam:
    """Pictures of one size and what is wrong with each."""

    images: Tensor
    """(B, 3, H, W) in [0, 1]."""
    kinds: Tensor
    """(B, K) bool; all False where nothing is."""
    weight: float = 1.0
    """How much each counts."""
    about: str | None = None
    """The kind that the weight is for, of all others it counts once; None: of every kind."""


def fit_head(
    embeddings: Tensor, present: Tensor, counts: Tensor, head: tuple[Tensor, Tensor], importance: Tensor
) -> tuple[Tensor, Tensor]:
    """Logistic regression from `embeddings` (N, D) to `present` (N, K) bool: weight (K, D) and bias (K,).

    It begins at `head`. `counts` (N, K) weighs pictures, `importance` (K,) says how much more it matters to
    find a kind than to be silent.
    """
    weight, bias = (part.clone().requires_grad_() for part in head)
    counts = counts / counts.mean(dim=0)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        each = F.binary_cross_entropy_with_logits(
            embeddings @ weight.T + bias, present.float(), pos_weight=importance, reduction="none"
        )
        loss = (each * counts).mean() + FAITH * (
            (weight - head[0]).square().sum() + (bias - head[1]).square().sum()
        )
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


@torch.no_grad()
def calibrate(eyes: CompactEyes, exams: Iterable[Exam], importance: Tensor | None = None) -> None:
    """Fit the kind head to what these pictures show, in place; everything else that is seen stays."""
    eyes.eval()
    embeddings, present, counts = [], [], []
    for exam in exams:
        embeddings.append(SHARPNESS * eyes(exam.images).degradation)
        present.append(exam.kinds)
        counts.append(_counts(exam, eyes.config.kinds))
    head = eyes.kind_head
    with torch.enable_grad():
        weight, bias = fit_head(
            torch.cat(embeddings),
            torch.cat(present),
            torch.cat(counts),
            (head.weight.detach(), head.bias.detach()),
            torch.ones(len(head.bias)) if importance is None else importance,
        )
    head.weight.copy_(weight)
    head.bias.copy_(bias)


def _counts(exam: Exam, kinds: Sequence[str]) -> Tensor:
    """(B, K): how much each picture counts for each kind."""
    about = [exam.about in (None, kind) for kind in kinds]
    return torch.where(torch.tensor(about), exam.weight, 1.0).expand(exam.kinds.shape)

"""Make probabilities mean what they say: of all that is named with 0.8, four in five are there.

Shapes: N pictures, K kinds.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.perception.compact.eyes import CompactEyes

WEIGHT = 20.0
"""Pictures' worth of belief that logits are right as they are: decides where pictures are few."""


def fit_scaling(logits: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and offset (K,) each with which logits (N, K) predict `present` (N, K) best (Platt, 1999)."""
    slope = torch.zeros(logits.shape[1], requires_grad=True)  # logarithm of the scale
    offset = torch.zeros(logits.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([slope, offset], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        scaled = logits * slope.exp() + offset
        loss = F.binary_cross_entropy_with_logits(scaled, present.float(), reduction="sum")
        loss = loss + WEIGHT * (slope.square() + offset.square() / 10).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return slope.detach().exp(), offset.detach()


@torch.no_grad()
def calibrate(eyes: CompactEyes, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Fit the kind head to pairs of images (B, 3, H, W) and kinds (B, K) bool, in place.

    Everything else that is seen stays as it is.
    """
    eyes.eval()
    seen = [(eyes.kind_logits(eyes(images).degradation), kinds) for images, kinds in batches]
    logits, present = (torch.cat(parts) for parts in zip(*seen, strict=True))
    with torch.enable_grad():
        scale, offset = fit_scaling(logits, present)
    eyes.kind_head.weight.mul_(scale[:, None])
    eyes.kind_head.bias.mul_(scale).add_(offset)

"""Calibrates probabilities: of all kinds predicted with 0.8, four in five are present.

Training shows crops, damaged at random. What people restore are whole pictures, and among them scenes that
are meant to be dark, pale or misty: the heads that name kinds, at places and in pictures, are linear, so they
are fitted to all of these at the end. The head for places is fitted to parts of pictures as well.

Shapes: N pictures, K kinds, D entries of the embedding or of all clues, B pictures of a batch, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.kinds import ONLY_TONE
from clearair.perception.compact.eyes import SHARPNESS, CompactEyes, picture_clues
from clearair.perception.compact.judging import pooled_by_region

RIDGE = 0.002
"""Weight, in the loss of a kind, of the squared norm of its row of a head, for clues of unit spread."""
PICTURE_RIDGE = 0.05
"""The same for haze and low light in whole pictures.

Photographs that only look hazy or dark are few, and there are 136 clues: an unconstrained head finds a plane
between them that does not generalise to other nights or mists."""


@dataclass(frozen=True)
class LabelledImages:
    """Pictures of one size and what is wrong with each."""

    images: Tensor
    """(B, 3, H, W) in [0, 1]."""
    kinds: Tensor
    """(B, K) bool; all False where nothing is."""
    weight: float = 1.0
    """How much each counts."""
    about: str | None = None
    """The kind to which the weight applies, with weight one for all others; None: every kind."""
    inside: Tensor | None = None
    """(B, H, W) bool: the part in which the kinds are; None: they are all over."""


def fit_head(
    embeddings: Tensor, present: Tensor, counts: Tensor, importance: Tensor, ridge: Tensor
) -> tuple[Tensor, Tensor]:
    """Ridge logistic regression of `present` (N, K) bool on `embeddings` (N, D): weight (K, D) and bias (K,).

    `counts` (N, K) weighs pictures, `importance` (K,) weighs present kinds against absent ones, `ridge` (K,)
    is the weight decay.
    """
    mean, spread = embeddings.mean(dim=0), embeddings.std(dim=0).clamp_min(1e-6)
    scaled = (embeddings - mean) / spread
    counts = counts / counts.sum(dim=0)
    weight, bias = regress(scaled, present.float(), counts, ridge, importance)
    plain = weight / spread
    return plain, bias - plain @ mean


def regress(
    scaled: Tensor, target: Tensor, counts: Tensor, ridge: Tensor | float, importance: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Logistic regression of targets (N, K) in [0, 1] on clues (N, D) of unit spread: (K, D) and bias (K,).

    `counts` (N, K) are weights of the losses, `importance` (K,) those of what is there, `ridge`, one
    number or (K,), those of the squared norms of the rows.
    """
    rows = torch.zeros(target.shape[1], scaled.shape[1], requires_grad=True)
    bias = torch.zeros(target.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([rows, bias], max_iter=250, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        each = F.binary_cross_entropy_with_logits(
            scaled @ rows.T + bias, target, pos_weight=importance, reduction="none"
        )
        norms = rows.square()
        penalty = ridge * norms.sum() if isinstance(ridge, float) else ridge @ norms.sum(dim=1)
        loss = (each * counts).sum() + penalty
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return rows.detach(), bias.detach()


@torch.no_grad()
def calibrate(eyes: CompactEyes, batches: Iterable[LabelledImages], importance: Tensor | None = None) -> None:
    """Fit both kind heads to these pictures, in place; all other outputs stay."""
    eyes.eval()
    kinds = eyes.config.kinds
    clues, present, counts, parts, in_parts = [], [], [], [], []
    for batch in batches:
        sight = eyes(batch.images)
        clues.append(picture_clues(sight))
        present.append(batch.kinds)
        counts.append(weights_of(batch, kinds))
        if batch.inside is not None:
            local = pooled_by_region(sight, batch.inside.to(torch.uint8), 2)  # (B, 2, D_d): outside, inside
            parts.append(SHARPNESS * local.flatten(0, 1))
            in_parts.append(torch.stack([torch.zeros_like(batch.kinds), batch.kinds], dim=1).flatten(0, 1))
    every_clue, there, weights = torch.cat(clues), torch.cat(present), torch.cat(counts)
    importance = torch.ones(len(kinds)) if importance is None else importance
    places, pictures = eyes.kind_head, eyes.picture_kind_head
    seen = every_clue[:, : places.in_features]
    tone = [kinds.index(kind) for kind in ONLY_TONE if kind in kinds]
    ridge = torch.full((len(kinds),), RIDGE)
    with torch.enable_grad():
        weight, bias = fit_head(seen, there, weights, importance, ridge)
        tone_weight, tone_bias = fit_head(
            every_clue,
            there[:, tone],
            weights[:, tone],
            importance[tone],
            torch.full((len(tone),), PICTURE_RIDGE),
        )
    # Exposure features are used only for kinds that change nothing else; for others they are chance.
    pictures.weight.copy_(F.pad(weight, (0, every_clue.shape[1] - seen.shape[1])))
    pictures.bias.copy_(bias)
    pictures.weight[tone], pictures.bias[tone] = tone_weight, tone_bias
    if parts:
        there = torch.cat([there, *in_parts])
        weights = torch.cat([weights, weights.new_ones(len(there) - len(weights), len(kinds))])
        with torch.enable_grad():
            weight, bias = fit_head(torch.cat([seen, *parts]), there, weights, importance, ridge)
    places.weight.copy_(weight)
    places.bias.copy_(bias)


def weights_of(batch: LabelledImages, kinds: Sequence[str]) -> Tensor:
    """(B, K): the weight of each picture for each kind."""
    about = [batch.about in (None, kind) for kind in kinds]
    return torch.where(torch.tensor(about), batch.weight, 1.0).expand(batch.kinds.shape)

"""The losses of the compact perceivers, head by head.

Shapes: B images, H x W pixels, K kinds, h x w positions of the dense map, M human region maps of a photo.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.perception.compact.eyes import THUMBNAIL, CompactEyes, Sight, picture_clues
from clearair.training.perceivers.samples import Batch, severity_score


def losses(eyes: CompactEyes, sight: Sight, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    """Every term of the loss, by name; their sum is minimised. All terms are means over the batch."""
    kinds = batch.kinds.float()
    height, width = sight.dense_degradation.shape[2:]
    dense = sight.dense_degradation.permute(0, 2, 3, 1)  # (B, h, w, D_d)
    dense_kinds = F.adaptive_avg_pool2d(batch.cover, (height, width)).permute(0, 2, 3, 1)  # (B, h, w, K)
    rows, columns = sight.pieces.shape[2:]
    piece_kinds = F.adaptive_avg_pool2d(batch.cover, (rows, columns)).permute(0, 2, 3, 1)  # (B, R, C, K)
    strength = torch.nan_to_num(batch.strength)
    known = ~batch.strength.isnan()
    score = severity_score(batch)
    picture = F.adaptive_avg_pool2d(batch.clean, THUMBNAIL)
    terms = {
        "kinds": 2.0 * F.binary_cross_entropy_with_logits(eyes.kind_logits(sight.degradation), kinds),
        "picture kinds": F.binary_cross_entropy_with_logits(
            # The embedding learns local content, not the brightness of the picture.
            eyes.picture_kind_head(picture_clues(replace(sight, degradation=sight.degradation.detach()))),
            kinds,
        ),
        "near kinds": F.binary_cross_entropy_with_logits(eyes.piece_kind_logits(sight.pieces), piece_kinds),
        "local kinds": F.binary_cross_entropy_with_logits(eyes.kind_logits(dense), dense_kinds),
        "strength": 4.0 * _masked((eyes.strengths(sight.degradation) - strength).square(), known),
        "local strength": 2.0
        * _masked(
            (eyes.strengths(dense) - strength[:, None, None] * dense_kinds).square(),
            known[:, None, None].expand_as(dense_kinds),
        ),
        "quality strength": 2.0
        * _masked((eyes.quality_strength_head(sight.quality) - strength).square(), known),
        "levels": F.cross_entropy(sight.levels, _soft_levels(score)),
        "score": 2.0 * (sight.score - score).abs().mean(),
        "content": 4.0 * (eyes.thumbnail(sight.content) - picture).abs().mean(),
    }
    if batch.ranked:
        # Content cancels out, so this teaches only the strength of damage.
        terms["ranking"] = 2.0 * (_halves(sight.score) - _halves(score)).abs().mean()
    if batch.mapped.any():
        embedding, maps = sight.regions[batch.mapped], batch.maps[batch.mapped]
        terms["regions"] = 1.5 * region_loss(eyes, embedding, maps, generator)
    return terms


def region_loss(eyes: CompactEyes, embedding: Tensor, maps: Tensor, generator: torch.Generator) -> Tensor:
    """Cross-entropy of "one region or two" over random pairs of positions, most of them close together.

    (B, E, h, w), (B, M, H, W) uint8. The target is the share of the M people who see one region; both classes
    have the same weight, however rare one is.
    """
    batch, _, height, width = embedding.shape
    labels = F.interpolate(maps.float(), (height, width), mode="nearest-exact").flatten(2)  # (B, M, hw)
    count = 1536
    rows = torch.randint(height, (batch, count), generator=generator)
    columns = torch.randint(width, (batch, count), generator=generator)
    reach = torch.where(torch.arange(count) % 3 == 0, float(max(height, width)), 7.0)
    other_rows = _stepped(rows, reach, height, generator)
    other_columns = _stepped(columns, reach, width, generator)
    first = (rows * width + columns).to(embedding.device)
    second = (other_rows * width + other_columns).to(embedding.device)
    points = embedding.flatten(2).float()
    distance = (_picked(points, first) - _picked(points, second)).square().sum(dim=1)  # (B, count)
    together = (_picked(labels, first) == _picked(labels, second)).float().mean(dim=1)
    share = together.mean().clamp(0.05, 0.95)
    weight = together / share + (1 - together) / (1 - share)
    return 0.5 * F.binary_cross_entropy_with_logits(eyes.same_region_logits(distance), together, weight)


def _stepped(start: Tensor, reach: Tensor, length: int, generator: torch.Generator) -> Tensor:
    step = (torch.randn(start.shape, generator=generator) * reach).round().long()
    # Folded at the borders, so that these are not sampled more often than the rest.
    position = (start + step).remainder(2 * length)
    return torch.where(position < length, position, 2 * length - 1 - position)


def _picked(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(2, index[:, None].expand(-1, values.shape[1], -1))


def _masked(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp_min(1)


def _halves(scores: Tensor) -> Tensor:
    """Score difference between each picture of the first half and that of the second: (B,) -> (B / 2,)."""
    first, second = scores.chunk(2)
    return first - second


def _soft_levels(score: Tensor) -> Tensor:
    levels = torch.arange(5.0, 0.0, -1.0, device=score.device)
    return F.softmax(-4.0 * (score[:, None] - levels).square() / 2, dim=1)

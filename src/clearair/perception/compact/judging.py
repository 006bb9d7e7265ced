"""Turns features of images into guidance: regions, embeddings and kinds of damage.

Everything here is a function of tensors, so that it can be exported as a graph.

Shapes: B images, h x w positions at stride 16 of the far view, N regions, K kinds, D_d entries of the
degradation embedding, E of the region embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.network.regions import membership
from clearair.perception.compact.clustering import cluster_regions
from clearair.perception.compact.eyes import CompactEyes, Sight, picture_clues
from clearair.perception.compact.recognition import Recognizer

_FLAT = 1 / 255
_DAMAGE = 1.5
"""Distance, in region radii, between a place that certainly has a kind of damage and one that does not."""


@dataclass(frozen=True)
class Findings:
    """The percepts of a batch."""

    labels: Tensor
    """(B, 16h, 16w) uint8, the region of each pixel of the far view."""
    degradation: Tensor
    """(B, D_d), length one."""
    local_degradation: Tensor
    """(B, N, D_d), length one."""
    probabilities: Tensor
    """(B, K) that each kind is in the image."""
    local_probabilities: Tensor
    """(B, N, K) that each kind is in the region."""


def judged(
    eyes: CompactEyes,
    recognizer: Recognizer | None,
    sight: Sight,
    features: Tensor | None,
    evident: Tensor | float = 1.0,
) -> Findings:
    """The combined result of the eyes and the recognizer.

    `features` (B, 2 F) are the recognizer's, None without one. `evident` (K,) in [0, 1] says how far each
    kind can be told from its absence.
    """
    count, dense = eyes.config.region_count, sight.dense_degradation
    size = (16 * dense.shape[2], 16 * dense.shape[3])
    labels = cluster_regions(_parts(eyes, sight), eyes.region_radius, count - 1, size)
    # In a uniform image the network sees only its own borders.
    labels = torch.where(sight.contrast[:, None, None] < _FLAT, torch.ones_like(labels), labels)
    local = pooled_by_region(sight, labels, count)
    degradation = sight.degradation
    eye_logits = eyes.picture_kind_logits(sight).float()
    probabilities = evident * eye_logits.sigmoid()
    if recognizer is not None and features is not None:
        clues = torch.cat([features, picture_clues(sight).float()], dim=1)
        seen = evident * recognizer(clues, eye_logits).sigmoid()
        overlooked = recognizer.missed(seen, probabilities)
        degradation, local = (recognizer.moved(own, overlooked) for own in (degradation, local))
        probabilities = seen
    local_probabilities = evident * eyes.kind_logits(local).sigmoid()
    return Findings(labels, degradation, local, probabilities, local_probabilities)


def _parts(eyes: CompactEyes, sight: Sight) -> Tensor:
    """Features for the clustering: region embedding and local damage, (B, E + K, 4h, 4w)."""
    kinds = eyes.kind_logits(sight.dense_degradation.permute(0, 2, 3, 1)).sigmoid()
    kinds = F.interpolate(
        kinds.permute(0, 3, 1, 2), sight.regions.shape[2:], mode="bilinear", align_corners=False
    )
    return torch.cat([sight.regions, _DAMAGE * eyes.region_radius * kinds], dim=1)


def map_size(sight: Sight) -> tuple[int, int]:
    """Sides of the label map in which shares of a region are counted: 8 x 8 labels a position."""
    return 8 * sight.dense_degradation.shape[2], 8 * sight.dense_degradation.shape[3]


def pooled_by_region(sight: Sight, labels: Tensor, count: int) -> Tensor:
    """Mean degradation embedding of each region, labels (B, H, W) -> (B, count, D_d), length one.

    A region without pixels gets the embedding of the whole image.
    """
    dense = sight.dense_degradation
    share = F.avg_pool2d(membership(_nearest(labels, map_size(sight)), count), 8)  # (B, N, h, w)
    total = share.sum(dim=(2, 3))[:, :, None]  # (B, N, 1)
    mean = torch.einsum("bnhw,bdhw->bnd", share, dense) / total.clamp_min(1e-6)
    return F.normalize(torch.where(total > 0, mean, sight.degradation[:, None]), dim=2)


def _nearest(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) -> (B, h, w): each place takes the label under its centre."""
    for dim, wanted in enumerate(size, start=1):
        places = torch.arange(wanted, device=labels.device)
        labels = labels.index_select(dim, (2 * places + 1) * labels.shape[dim] // (2 * wanted))
    return labels

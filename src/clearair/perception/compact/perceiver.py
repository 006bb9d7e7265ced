"""Look at images with the compact perceiver: batches of tensors for training, one array for restoring.

Shapes: B images, H x W pixels, N regions, K kinds, Q / D_c / D_d entries of the three embeddings.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from clearair.network.guidance import Guidance
from clearair.network.regions import membership
from clearair.perception.compact.arrays import check_image, enlarged, far_view_of, near_crops_of, sample_of
from clearair.perception.compact.clustering import cluster_regions
from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.eyes import CompactEyes, Sight
from clearair.perception.compact.views import far_size, near_grid
from clearair.perception.compact.weights import load_eyes, shipped_folder
from clearair.perception.confidence import shares_of
from clearair.perception.percepts import Floats, Labels, Percepts
from clearair.perception.protocol import Identity, fingerprint

_FLAT = 1 / 255
_DAMAGE = 1.5
"""Radii of a region that lie between a place that surely has a kind of damage and one that surely has not."""


class CompactPerceiver:
    """How good, where, and what is wrong, in one look. Frozen; the same image gives the same answer."""

    def __init__(self, eyes: CompactEyes) -> None:
        self.eyes = eyes.eval().requires_grad_(False)
        self._radius = eyes.region_radius  # asked once: of a graphics card it must be waited for

    @property
    def config(self) -> EyesConfig:
        """Sizes of the embeddings and names of the kinds."""
        return self.eyes.config

    @property
    def identity(self) -> Identity:
        """Its name, its weights and the sizes of its answers."""
        config = self.config
        return Identity(
            name="compact",
            fingerprint=fingerprint(self.eyes),
            quality_dim=config.quality_dim,
            content_dim=config.content_dim,
            degradation_dim=config.degradation_dim,
            region_count=config.region_count,
        )

    def to(self, device: torch.device | str) -> CompactPerceiver:
        """Move to a device; returns itself."""
        self.eyes.to(device)
        return self

    @torch.no_grad()
    def perceive(self, images: Tensor) -> Guidance:
        """RGB in [0, 1], (B, 3, H, W) of any size -> what a restorer is told about them."""
        size = (images.shape[2], images.shape[3])
        guidance = self._guidance(self.eyes(images), size)
        if guidance.labels.shape[1:] == size:
            return guidance
        labels = F.interpolate(guidance.labels[:, None], size, mode="nearest-exact")[:, 0]
        return replace(guidance, labels=labels)

    @torch.no_grad()
    def perceive_image(self, image: NDArray[Any]) -> Percepts:
        """One RGB image (H, W, 3), uint8, uint16 or float in [0, 1], of any size.

        Raises ImageError when it is not such an array.
        """
        sight = self._look(image)
        guidance = self._guidance(sight, (image.shape[0], image.shape[1]))
        return Percepts(
            score=float(sight.score),
            levels=_array(sight.levels.softmax(dim=1)[0]),
            quality=_array(guidance.quality[0]),
            labels=enlarged(_labels(guidance.labels[0]), (image.shape[0], image.shape[1])),
            content=_array(guidance.content[0]),
            degradation=_array(guidance.degradation[0]),
            local_degradation=_array(guidance.local_degradation[0]),
            names=self.config.kinds,
            probabilities=_array(self.eyes.picture_kind_logits(sight)[0].sigmoid()),
            local_probabilities=_array(self.eyes.kind_logits(guidance.local_degradation[0]).sigmoid()),
        )

    @torch.no_grad()
    def local_degradation(self, image: NDArray[Any], labels: NDArray[Any]) -> Floats:
        """Degradation embedding of each region of a label map (H, W): (N, D_d), N = largest label + 1."""
        sight = self._look(image)
        count = int(labels.max()) + 1
        small = enlarged(labels, map_size(sight)).astype(np.int64)
        regions = torch.from_numpy(small)[None].to(sight.degradation.device)
        return _array(pooled_by_region(sight, regions, count)[0])

    @torch.no_grad()
    def probabilities(self, embeddings: Floats) -> Floats:
        """That each kind is present, of degradation embeddings alone: (N, D_d) -> (N, K)."""
        values = torch.from_numpy(embeddings).to(next(self.eyes.parameters()).device)
        return _array(self.eyes.kind_logits(values).sigmoid())

    def _parts(self, sight: Sight) -> Tensor:
        """What regions are made of: what people see as one, and what is damaged alike, (B, E + K, 4h, 4w)."""
        kinds = self.eyes.kind_logits(sight.dense_degradation.permute(0, 2, 3, 1)).sigmoid()
        kinds = F.interpolate(
            kinds.permute(0, 3, 1, 2), sight.regions.shape[2:], mode="bilinear", align_corners=False
        )
        return torch.cat([sight.regions, _DAMAGE * self._radius * kinds], dim=1)

    def _look(self, image: NDArray[Any]) -> Sight:
        """Both views are taken from the array itself: of a large picture, no copy of another type is made."""
        check_image(image)
        config, device = self.config, next(self.eyes.parameters()).device
        grid = near_grid(image.shape[0], image.shape[1], config.near_crops, config.near_spacing)
        far = far_view_of(image, config.far_pixels)
        near = near_crops_of(image, config.near_side, grid)
        return self.eyes.see(far.to(device), near.to(device), grid, sample_of(image).to(device))

    def _guidance(self, sight: Sight, image_size: tuple[int, int]) -> Guidance:
        """The label map is as large as the far view."""
        count = self.config.region_count
        size = far_size(*image_size, self.config.far_pixels)
        labels = cluster_regions(self._parts(sight), self._radius, count - 1, size)
        # In a uniform image the network sees only its own borders.
        labels = torch.where(sight.contrast[:, None, None] < _FLAT, torch.ones_like(labels), labels)
        local = pooled_by_region(sight, labels, count)
        probabilities = self.eyes.picture_kind_logits(sight).sigmoid().float()
        shares = shares_of(probabilities, self.config.kinds)
        return Guidance(sight.quality.float(), labels, sight.content, sight.degradation, local, *shares)


def load_compact(folder: Path | None = None) -> CompactPerceiver:
    """The perceiver that ships with the package, or one saved in `folder`. Raises ModelError."""
    return CompactPerceiver(load_eyes(shipped_folder() if folder is None else folder))


def map_size(sight: Sight) -> tuple[int, int]:
    """Sides of the label map in which shares of a region are counted: 8 x 8 labels a position."""
    return 8 * sight.dense_degradation.shape[2], 8 * sight.dense_degradation.shape[3]


def pooled_by_region(sight: Sight, labels: Tensor, count: int) -> Tensor:
    """Mean degradation embedding of each region, labels (B, H, W) -> (B, count, D_d), length one.

    A region without pixels gets the embedding of the whole image.
    """
    dense = sight.dense_degradation
    fine = F.interpolate(labels[:, None].float(), map_size(sight), mode="nearest-exact")[:, 0]
    share = F.avg_pool2d(membership(fine.to(labels.dtype), count), 8)  # (B, N, h, w)
    total = share.sum(dim=(2, 3))[:, :, None]  # (B, N, 1)
    mean = torch.einsum("bnhw,bdhw->bnd", share, dense) / total.clamp_min(1e-6)
    return F.normalize(torch.where(total > 0, mean, sight.degradation[:, None]), dim=2)


def _array(values: Tensor) -> Floats:
    array: Floats = values.float().cpu().numpy()
    return array


def _labels(values: Tensor) -> Labels:
    labels: Labels = values.cpu().numpy()
    return labels

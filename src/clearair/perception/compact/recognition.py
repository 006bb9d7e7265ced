"""Which kinds of damage a whole picture has: features learnt elsewhere, joined with those of the eyes.

ImageNet features distinguish real rain, fog and snow from scenes that only resemble them; the eyes were
trained on damage alone and recognise haze, low light, JPEG and drops of any strength. One linear head uses
both.

Shapes: B images, H x W pixels, P native crops, K kinds, F statistics of the backbone, C clues of the eyes,
D_d entries of the degradation embedding.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clearair.perception.compact.arrays import far_view_of, near_crops_of
from clearair.perception.compact.backbone import FEATURES, Backbone
from clearair.perception.compact.geometry import BACKBONE_STRIDE, RECOGNIZER_PIXELS, recognizer_crops
from clearair.perception.compact.steering import moved
from clearair.perception.compact.views import far_view, near_crops

OUTLIER = 8.0
"""Standard deviations at which statistics are clipped: beyond it, a picture is unlike the training data."""
CERTAIN = 12.0
"""Magnitude at which logits of the eyes are clipped."""


class Recognizer(nn.Module):
    """A frozen backbone, a head over its statistics and the eyes' features, and prototypes of the kinds.

    `blend` (K,) is how much of the logits that the eyes give is added to those of the head.
    `prototypes` (K, D_d) are the mean degradation embeddings of pictures of each kind. `trust` (K,) in [0, 1]
    is how far the embedding of a picture moves to that of a kind that the user named, `steer` (K,) how far to
    that of a kind that the recognizer is sure of and the eyes missed.
    """

    def __init__(self, clues: int, kinds: int, degradation: int) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.head = nn.Linear(2 * FEATURES + clues, kinds)
        self.register_buffer("mean", torch.zeros(2 * FEATURES + clues))
        self.register_buffer("spread", torch.ones(2 * FEATURES + clues))
        self.register_buffer("blend", torch.zeros(kinds))
        self.register_buffer("prototypes", torch.zeros(kinds, degradation))
        self.register_buffer("trust", torch.zeros(kinds))
        self.register_buffer("steer", torch.zeros(kinds))
        self.mean: Tensor
        self.spread: Tensor
        self.blend: Tensor
        self.prototypes: Tensor
        self.trust: Tensor
        self.steer: Tensor

    def forward(self, seen: Tensor, eye_logits: Tensor) -> Tensor:
        """Logits that each kind is in the picture, (B, K).

        `seen` (B, 2 F + C) are statistics and clues of the eyes, `eye_logits` (B, K) their own logits.
        """
        logits: Tensor = self.head(((seen - self.mean) / self.spread).clamp(-OUTLIER, OUTLIER))
        return logits + self.blend * eye_logits.clamp(-CERTAIN, CERTAIN)

    def features(self, images: Tensor) -> Tensor:
        """RGB in [0, 1], (B, 3, H, W) -> (B, 2 F): statistics of the whole, and means of those of crops."""
        size, grid = recognizer_crops(images.shape[2], images.shape[3])
        return self.statistics(
            far_view(images, RECOGNIZER_PIXELS, BACKBONE_STRIDE), near_crops(images, size, grid)
        )

    def features_of(self, image: NDArray[Any]) -> Tensor:
        """The same of one image (H, W, 3), uint8, uint16 or float in [0, 1]: (1, 2 F)."""
        size, grid = recognizer_crops(*image.shape[:2])
        device = self.head.weight.device
        far = torch.from_numpy(far_view_of(image, RECOGNIZER_PIXELS, BACKBONE_STRIDE))
        near = torch.from_numpy(near_crops_of(image, size, grid))
        return self.statistics(far.to(device), near.to(device))

    def statistics(self, far: Tensor, near: Tensor) -> Tensor:
        """(B, 3, 32h, 32w) and (B, P, 3, 32r, 32c) -> (B, 2 F)."""
        with torch.autocast(far.device.type, enabled=False):  # the head was fitted to full precision
            whole = self.backbone(far.float())
            if near.shape[1] == 1 and near.shape[3:] == far.shape[2:]:
                return torch.cat([whole, whole], dim=1)  # a picture that is no larger than a crop
            # One crop after another: together they would take four times the memory, and no less time.
            crops = [self.backbone(crop.float()) for crop in near.unbind(1)]
            return torch.cat([whole, torch.stack(crops).mean(dim=0)], dim=1)

    def missed(self, seen: Tensor, by_eyes: Tensor) -> Tensor:
        """(B, K) how far embeddings move to each kind: `seen` less what the eyes see, (B, K) in [0, 1]."""
        amount: Tensor = self.steer * (seen - by_eyes).clamp_min(0)
        return amount

    def moved(self, embeddings: Tensor, shares: Tensor) -> Tensor:
        """Embeddings of length one (B, ..., D_d), moved to those of kinds by `shares` (B, K) in [0, 1].

        The picture's own embedding keeps the remaining share.
        """
        values: Tensor = moved(embeddings, self.prototypes, shares)
        return values

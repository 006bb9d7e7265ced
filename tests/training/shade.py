"""A perceiver that is the same whichever batch a picture is in."""

from __future__ import annotations

import torch
from torch import Tensor

from clearair.network import Guidance
from clearair.perception.protocol import Identity


class Shade:
    """A perceiver whose regions are eight shades of grey, so that labels can be told from pixels."""

    identity = Identity("shade", "0" * 64, 32, 64, 64, 16)

    def to(self, device: object) -> Shade:
        return self

    def perceive(self, images: Tensor) -> Guidance:
        labels = (images.mean(dim=1) * 8).clamp(0, 7).to(torch.uint8)
        batch = len(images)
        return Guidance(
            torch.zeros(batch, 32),
            labels,
            torch.zeros(batch, 64),
            torch.zeros(batch, 64),
            torch.zeros(batch, 16, 64),
            torch.ones(batch),
            torch.ones(batch),
            torch.ones(batch),
        )

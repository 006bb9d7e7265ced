"""What the perceivers tell the network: how bad, where, and what is wrong, as tensors.

Shapes: B images, H x W pixels, N regions, Q / D_c / D_d entries of the three embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clearair.errors import ConfigError


@dataclass(frozen=True)
class Guidance:
    """All that the network is told about a batch besides its pixels.

    Raises ConfigError when the shapes do not belong together.
    """

    quality: Tensor
    """(B, Q) how degraded the whole image is."""
    labels: Tensor
    """(B, H, W) integers in [0, N): the region of each pixel; 0 = no region claims it."""
    content: Tensor
    """(B, D_c) what the image shows."""
    degradation: Tensor
    """(B, D_d) what is wrong with the whole image."""
    local_degradation: Tensor
    """(B, N, D_d) what is wrong in each region."""
    tone: Tensor
    """(B,) in [0, 1]: how far exposure, colour and haze may be corrected; 0 in doubt."""
    change: Tensor
    """(B,) in [0, 1]: how far the image may be changed at all; 0 when nothing seems to be wrong with it."""
    coarse: Tensor
    """(B,) in [0, 1]: how freely the detail network may change what is coarse, and not detail alone."""

    def __post_init__(self) -> None:
        batch = self.labels.shape[0]
        expected = {
            "labels": 3,
            "quality": 2,
            "content": 2,
            "degradation": 2,
            "local_degradation": 3,
            "tone": 1,
            "change": 1,
            "coarse": 1,
        }
        for name, dims in expected.items():
            value: Tensor = getattr(self, name)
            if value.dim() != dims or value.shape[0] != batch:
                raise ConfigError(
                    f"Guidance.{name} must have {dims} dimensions and {batch} entries in the first; "
                    f"got {tuple(value.shape)}."
                )
        if self.local_degradation.shape[2] != self.degradation.shape[1]:
            raise ConfigError(
                f"Guidance: local embeddings have {self.local_degradation.shape[2]} entries, "
                f"the global one {self.degradation.shape[1]}."
            )

    @property
    def regions(self) -> int:
        """N, the number of labels, the background 0 included."""
        return self.local_degradation.shape[1]

    def window(self, top: int, left: int, height: int, width: int) -> Guidance:
        """The same judgement for a window of the image: only the label map is cropped."""
        labels = self.labels[:, top : top + height, left : left + width]
        return replace(self, labels=labels)

    def to(self, device: torch.device | str) -> Guidance:
        """Copy to a device."""
        return Guidance(**{name: value.to(device) for name, value in vars(self).items()})

    def part(self, rows: slice) -> Guidance:
        """The judgement of some of the images."""
        return Guidance(**{name: value[rows] for name, value in vars(self).items()})

    def permuted(self, order: Tensor) -> Guidance:
        """Hand each image the judgement of another one: `order` (B,) is a permutation."""
        return Guidance(**{name: value[order] for name, value in vars(self).items()})

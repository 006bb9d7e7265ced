"""How: one judgement of the whole image scales and shifts every feature map.

Shapes: B images, C channels, H x W positions, Q entries of the quality embedding.
"""

import torch
from torch import Tensor, nn


class QualityAdapter(nn.Module):
    """Bring a perceiver's quality embedding to the network's own size (ClearAIR, eq. 3)."""

    def __init__(self, quality_dim: int, out_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(quality_dim), nn.Linear(quality_dim, out_dim), nn.GELU(), nn.Linear(out_dim, out_dim)
        )

    def forward(self, quality: Tensor) -> Tensor:
        """(B, Q) -> (B, F)."""
        return self.layers(quality)  # type: ignore[no-any-return]


class QualityGuidance(nn.Module):
    """Modulate features with the adapted quality embedding (QGM; ClearAIR, eq. 4).

    One scale and one shift for each channel let the network change heavily degraded images strongly and clean
    ones hardly. Starts as the identity.
    """

    def __init__(self, channels: int, quality_dim: int) -> None:
        super().__init__()
        self.to_scale = nn.Linear(quality_dim, channels)
        self.to_shift = nn.Linear(quality_dim, channels)
        for layer in (self.to_scale, self.to_shift):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.ones_(self.to_scale.bias)

    def forward(self, features: Tensor, quality: Tensor) -> Tensor:
        """(B, C, H, W), (B, F) -> (B, C, H, W)."""
        scale = self.to_scale(quality)[:, :, None, None].to(features.dtype)  # (B, C, 1, 1)
        shift = self.to_shift(quality)[:, :, None, None].to(features.dtype)  # (B, C, 1, 1)
        return torch.addcmul(shift, features, scale)  # one pass over the features

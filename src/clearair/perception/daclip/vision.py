"""The two image towers: the control branch sees the damage and compensates for it in the other tower.

Shapes: B images, S x S pixels, L = 1 + (S / P)^2 tokens of C entries, D entries of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clearair.perception.daclip.config import VisionSize
from clearair.perception.daclip.transformer import ControlTransformer, Transformer


class Patches(nn.Module):
    """The layers before and after the transformer of a CLIP image tower."""

    def __init__(self, size: VisionSize, embedding: int) -> None:
        super().__init__()
        self.size = size
        tokens = 1 + (size.image // size.patch) ** 2
        self.conv1 = nn.Conv2d(3, size.width, size.patch, stride=size.patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(size.width))
        self.positional_embedding = nn.Parameter(torch.zeros(tokens, size.width))
        self.ln_pre = nn.LayerNorm(size.width, eps=1e-5)
        self.ln_post = nn.LayerNorm(size.width, eps=1e-5)
        self.proj = nn.Parameter(torch.zeros(size.width, embedding))

    def tokens(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, L, C), the class token first."""
        side, patch = self.size.image // self.size.patch, self.size.patch
        whole = images[:, :, : side * patch, : side * patch]  # a convolution leaves out the rest as well
        patches = whole.reshape(-1, 3, side, patch, side, patch)
        patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # (B, side^2, 3 * P * P)
        # A product of matrices: a convolution would be computed in TF32 on a GPU, ten bits of mantissa.
        x = patches @ self.conv1.weight.flatten(1).T
        first = self.class_embedding.expand(len(x), 1, -1)
        return self.ln_pre(torch.cat([first, x], dim=1) + self.positional_embedding)  # type: ignore[no-any-return]

    def embedding(self, tokens: Tensor) -> Tensor:
        """(B, L, C) -> (B, D)."""
        return self.ln_post(tokens[:, 0]) @ self.proj  # type: ignore[no-any-return]


class VisionTower(Patches):
    """What the image shows, through whatever is wrong with it."""

    def __init__(self, size: VisionSize, embedding: int) -> None:
        super().__init__(size, embedding)
        self.transformer = Transformer(size.layers, size.width, size.heads, size.hidden)

    def forward(self, images: Tensor, controls: Sequence[Tensor]) -> Tensor:
        """(B, 3, S, S) and a control (B, L, C) from each block of the branch -> (B, D)."""
        return self.embedding(self.transformer(self.tokens(images), controls=controls))


class ControlTower(Patches):
    """What is wrong with the image."""

    def __init__(self, size: VisionSize, embedding: int) -> None:
        super().__init__(size, embedding)
        self.transformer = ControlTransformer(size.layers, size.width, size.heads, size.hidden)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 3, S, S) -> (B, D), and a control (B, L, C) from each block."""
        tokens, controls = self.transformer(self.tokens(images))
        return self.embedding(tokens), controls

"""The vision tower: CLIP's ViT-L/14, as mPLUG-Owl2 keeps it.

Modules bear the names of the published tensors. Shapes: B images, S x S pixels, N patches, D channels,
h heads of d channels.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.perception.deqa.config import VisionConfig


class Stack(nn.Module):
    """Layers one after the other, under the name `layers`."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


class VisionTower(nn.Module):
    """Pixels -> one token a patch, the class token first."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.embeddings = PatchEmbeddings(config)
        self.encoder = Stack([VisionBlock(config) for _ in range(config.num_hidden_layers)])
        self.post_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, 1 + N, D)."""
        tokens = self.embeddings(pixels)
        for block in self.encoder.layers:
            tokens = block(tokens)
        return cast(Tensor, self.post_layernorm(tokens))


class PatchEmbeddings(nn.Module):
    """Patches and positions."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width, patch = config.hidden_size, config.patch_size
        grid = config.image_size // patch
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.patch_embed = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.position_embedding = nn.Parameter(torch.zeros(1, 1 + grid * grid, width))
        self.pre_layernorm = nn.LayerNorm(width, config.layer_norm_eps)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, 1 + N, D)."""
        patches = self.patch_embed(pixels).flatten(2).transpose(1, 2)  # (B, N, D)
        tokens = torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches], dim=1)
        return cast(Tensor, self.pre_layernorm(tokens + self.position_embedding))


class VisionBlock(nn.Module):
    """Attention and MLP, each behind its norm."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.self_attn = VisionAttention(config)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.mlp = VisionMLP(config)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        tokens = tokens + self.self_attn(self.input_layernorm(tokens))
        return cast(Tensor, tokens + self.mlp(self.post_attention_layernorm(tokens)))


class VisionAttention(nn.Module):
    """Every token looks at every token."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        fused = self.query_key_value(tokens)  # (B, T, 3 D), each head: query, key, value
        fused = fused.reshape(*tokens.shape[:2], self.heads, 3, -1)
        query, key, value = fused.permute(3, 0, 2, 1, 4)  # (B, h, T, d) each
        seen = F.scaled_dot_product_attention(query, key, value)
        return cast(Tensor, self.dense(seen.transpose(1, 2).flatten(2)))


class VisionMLP(nn.Module):
    """Two layers with CLIP's quick approximation of GELU in between."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        wide = self.fc1(tokens)
        return cast(Tensor, self.fc2(wide * torch.sigmoid(1.702 * wide)))

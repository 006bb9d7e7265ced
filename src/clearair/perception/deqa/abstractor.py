"""The visual abstractor: a few learned queries sum up what the vision tower saw.

Modules bear the names of the published tensors. Shapes: B images, Q queries, T = 1 + N tokens of the vision
tower, D channels, h heads of d channels, E channels of the language model.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.perception.deqa.config import AbstractorConfig
from clearair.perception.deqa.vision import Stack

_EPS = 1e-5
"""Of every norm but the one inside the MLP."""


class VisualAbstractor(nn.Module):
    """Tokens of the vision tower -> a few tokens for the language model, and one that ends them."""

    def __init__(self, config: AbstractorConfig, language_size: int) -> None:
        super().__init__()
        self.query_embeds = nn.Parameter(torch.zeros(1, config.num_learnable_queries, config.hidden_size))
        self.encoder = Stack([AbstractorLayer(config) for _ in range(config.num_hidden_layers)])
        self.visual_fc = nn.Linear(config.hidden_size, language_size)
        self.vit_eos = nn.Parameter(torch.zeros(1, 1, language_size))

    def forward(self, seen: Tensor) -> Tensor:
        """(B, T, D) -> (B, Q + 1, E)."""
        queries = self.query_embeds.expand(len(seen), -1, -1)
        for layer in self.encoder.layers:
            queries = layer(queries, seen)
        return torch.cat([self.visual_fc(queries), self.vit_eos.expand(len(seen), -1, -1)], dim=1)


class AbstractorLayer(nn.Module):
    """Nothing but cross-attention."""

    def __init__(self, config: AbstractorConfig) -> None:
        super().__init__()
        self.crossattention = CrossAttention(config)

    def forward(self, queries: Tensor, seen: Tensor) -> Tensor:
        """(B, Q, D), (B, T, D) -> (B, Q, D)."""
        return cast(Tensor, self.crossattention(queries, seen))


class CrossAttention(nn.Module):
    """Queries look at themselves and at what was seen."""

    def __init__(self, config: AbstractorConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, _EPS)
        self.normk = nn.LayerNorm(config.hidden_size, _EPS)
        self.attention = Attention(config)
        self.output = Output(config)

    def forward(self, queries: Tensor, seen: Tensor) -> Tensor:
        """(B, Q, D), (B, T, D) -> (B, Q, D)."""
        queries = self.norm1(queries)  # the residual, too, starts from here
        found = self.attention(queries, torch.cat([queries, self.normk(seen)], dim=1))
        return cast(Tensor, self.output(queries, found))


class Attention(nn.Module):
    """Attention with fixed positions, stored with the weights: for queries and keys, not for values."""

    q_pos_embed: Tensor
    k_pos_embed: Tensor

    def __init__(self, config: AbstractorConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.register_buffer("q_pos_embed", torch.zeros(config.num_learnable_queries, width))
        self.register_buffer("k_pos_embed", torch.zeros(1 + config.grid_size**2, width))
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        """(B, Q, D), (B, Q + T, D) -> (B, Q, D)."""
        positions = torch.cat([self.q_pos_embed, self.k_pos_embed])  # (Q + T, D)
        query = self._split(self.query(queries + self.q_pos_embed))
        key = self._split(self.key(context + positions))
        value = self._split(self.value(context))
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)

    def _split(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> (B, h, T, d)."""
        return tokens.reshape(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


class Output(nn.Module):
    """Add what was found, then what an MLP makes of it."""

    def __init__(self, config: AbstractorConfig) -> None:
        super().__init__()
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm2 = nn.LayerNorm(config.hidden_size, _EPS)
        self.mlp = GatedMLP(config)

    def forward(self, queries: Tensor, found: Tensor) -> Tensor:
        """(B, Q, D), (B, Q, D) -> (B, Q, D)."""
        queries = queries + self.out_proj(found)
        return cast(Tensor, queries + self.mlp(self.norm2(queries)))


class GatedMLP(nn.Module):
    """SwiGLU with a norm before its last layer."""

    def __init__(self, config: AbstractorConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.w3 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.ffn_ln = nn.LayerNorm(config.intermediate_size, config.layer_norm_eps)
        self.w2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, Q, D) -> (B, Q, D)."""
        return cast(Tensor, self.w2(self.ffn_ln(F.silu(self.w1(tokens)) * self.w3(tokens))))

"""CLIP's transformer, under the names of open_clip's weights.

Shapes: B sequences, L tokens, C entries of a token.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Self-attention whose queries, keys and values come from one matrix, one after the other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, causal: bool) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        query, key, value = (
            part.reshape(*part.shape[:2], self.heads, -1).transpose(1, 2)  # (B, heads, L, C / heads)
            for part in F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=2)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Block(nn.Module):
    """x + attention(LN(x)), then x + MLP(LN(x)), with the exact GELU."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-5)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width, eps=1e-5)
        self.mlp = nn.Sequential(
            OrderedDict(c_fc=nn.Linear(width, hidden), gelu=nn.GELU(), c_proj=nn.Linear(hidden, width))
        )

    def forward(self, x: Tensor, causal: bool = False) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        x = x + self.attn(self.ln_1(x), causal)
        return x + self.mlp(self.ln_2(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """A stack of blocks."""

    def __init__(self, layers: int, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList([Block(width, heads, hidden) for _ in range(layers)])

    def forward(self, x: Tensor, *, causal: bool = False, controls: Sequence[Tensor] = ()) -> Tensor:
        """(B, L, C) -> (B, L, C); of L `controls` the last is added after the first block, and so on."""
        for index, block in enumerate(self.resblocks):
            x = block(x, causal)
            if controls:
                x = x + controls[-1 - index]
        return x


class ControlTransformer(nn.Module):
    """A stack of blocks, each of which also says what is to be added to the tower that it controls."""

    def __init__(self, layers: int, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.transformer = Transformer(layers, width, heads, hidden)
        self.zero_modules = nn.ModuleList([nn.Linear(width, width) for _ in range(layers)])

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, L, C) -> (B, L, C), and a control (B, L, C) of each block, in their order."""
        controls = []
        for block, zero in zip(self.transformer.resblocks, self.zero_modules, strict=True):
            x = block(x)
            controls.append(zero(x))
        return x, controls

"""The language model: LLaMA-2, with norms, keys and values of their own for visual tokens.

Modules bear the names of the published tensors. Shapes: B images, T tokens, E channels, h heads of d
channels.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.perception.deqa.config import DecoderConfig


class DecoderLayer(nn.Module):
    """Attention and MLP, each behind its norm."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        size, eps = config.hidden_size, config.rms_norm_eps
        self.input_layernorm = Multiway(RMSNorm(size, eps), RMSNorm(size, eps))
        self.self_attn = CausalAttention(config)
        self.post_attention_layernorm = Multiway(RMSNorm(size, eps), RMSNorm(size, eps))
        self.mlp = DecoderMLP(config)

    def forward(self, tokens: Tensor, visual: slice, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """(B, T, E) -> (B, T, E); `visual` says which tokens come from the image."""
        tokens = tokens + self.self_attn(self.input_layernorm(tokens, visual), visual, rotation)
        return cast(Tensor, tokens + self.mlp(self.post_attention_layernorm(tokens, visual)))


class Multiway(nn.Module):
    """One module for words, another of the same kind for visual tokens."""

    def __init__(self, words: nn.Module, image: nn.Module) -> None:
        super().__init__()
        self.multiway = nn.ModuleList([words, image])

    def forward(self, tokens: Tensor, visual: slice) -> Tensor:
        """(B, T, E) -> (B, T, E'), every token through the module of its kind."""
        words, image = self.multiway
        before, seen, after = tokens[:, : visual.start], tokens[:, visual], tokens[:, visual.stop :]
        read = words(torch.cat([before, after], dim=1))
        return torch.cat([read[:, : visual.start], image(seen), read[:, visual.start :]], dim=1)


class RMSNorm(nn.Module):
    """Divide by the root of the mean square, computed in float32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, E) -> (B, T, E)."""
        wide = tokens.float()
        wide = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.eps)
        return self.weight * wide.to(tokens.dtype)


class CausalAttention(nn.Module):
    """Every token looks at itself and at those before it."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        size, head = config.hidden_size, config.hidden_size // config.num_attention_heads
        small = config.num_key_value_heads * head
        self.head = head
        self.sharing = config.num_attention_heads // config.num_key_value_heads
        self.q_proj = nn.Linear(size, size, bias=False)
        self.k_proj = Multiway(nn.Linear(size, small, bias=False), nn.Linear(size, small, bias=False))
        self.v_proj = Multiway(nn.Linear(size, small, bias=False), nn.Linear(size, small, bias=False))
        self.o_proj = nn.Linear(size, size, bias=False)

    def forward(self, tokens: Tensor, visual: slice, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """(B, T, E) -> (B, T, E)."""
        query = rotated(self._split(self.q_proj(tokens)), rotation)
        key = rotated(self._split(self.k_proj(tokens, visual)), rotation)
        value = self._split(self.v_proj(tokens, visual))
        key, value = (each.repeat_interleave(self.sharing, dim=1) for each in (key, value))
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return cast(Tensor, self.o_proj(seen.transpose(1, 2).flatten(2)))

    def _split(self, tokens: Tensor) -> Tensor:
        """(B, T, E) -> (B, h, T, d)."""
        return tokens.reshape(*tokens.shape[:2], -1, self.head).transpose(1, 2)


class DecoderMLP(nn.Module):
    """SwiGLU."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        size, wide = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(size, wide, bias=False)
        self.up_proj = nn.Linear(size, wide, bias=False)
        self.down_proj = nn.Linear(wide, size, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, E) -> (B, T, E)."""
        return cast(Tensor, self.down_proj(F.silu(self.gate_proj(tokens)) * self.up_proj(tokens)))


def frequencies(head: int, theta: float, device: torch.device) -> Tensor:
    """Angle by which a channel turns from one position to the next, (d / 2,)."""
    return theta ** -(torch.arange(0, head, 2, device=device, dtype=torch.float32) / head)


def rotation_of(length: int, head: int, theta: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle of each position and channel, (T, d) each, on the device of `like`."""
    position = torch.arange(length, device=like.device, dtype=torch.float32)
    # Channel i turns together with channel i + d / 2.
    angle = torch.outer(position, frequencies(head, theta, like.device)).repeat(1, 2)
    return angle.cos().to(like.dtype), angle.sin().to(like.dtype)


def rotated(tokens: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each head by the position of its token, (B, h, T, d) -> (B, h, T, d)."""
    cosine, sine = rotation
    first, second = tokens.chunk(2, dim=-1)
    return tokens * cosine + torch.cat([-second, first], dim=-1) * sine

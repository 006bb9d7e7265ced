"""What: the kind of damage in each region controls which features are amplified or suppressed.

Shapes: B images, C channels, H x W positions, N regions, K prompts, P entries of a prompt,
D channels inside the module, T content tokens.
"""

import torch
from torch import Tensor, nn

from clearair.network.layers import LayerNorm, spreading, to_maps, to_pixels
from clearair.network.regions import attend


class DegradationPrompt(nn.Module):
    """Mix learnable prompts by what is wrong (ClearAIR, eq. 10): F_p = sum_k MLP(P)_k softmax(MLP(F_d))_k.

    The embedding has length one, so its entries are small. Without a norm before the MLP the weights of all
    prompts would be equal, and nothing would pull them apart.
    """

    def __init__(self, degradation_dim: int, prompts: int, prompt_dim: int) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.randn(prompts, prompt_dim))
        self.transform = nn.Sequential(
            nn.Linear(prompt_dim, prompt_dim),
            nn.GELU(),
            nn.Linear(prompt_dim, prompt_dim),
            nn.LayerNorm(prompt_dim),
        )
        self.to_weights = nn.Sequential(
            nn.LayerNorm(degradation_dim),
            nn.Linear(degradation_dim, prompt_dim),
            nn.GELU(),
            spreading(nn.Linear(prompt_dim, prompts)),
        )

    def forward(self, degradation: Tensor) -> Tensor:
        """(B, N, D_d) -> (B, N, P)."""
        return self.to_weights(degradation).softmax(dim=-1) @ self.transform(self.prompts)  # type: ignore[no-any-return]


class ContentTokens(nn.Module):
    """Spread one content embedding over several tokens: over one the softmax would always be 1."""

    def __init__(self, content_dim: int, tokens: int, token_dim: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.expand = nn.Sequential(
            nn.LayerNorm(content_dim),  # of length one, as the degradation embedding
            nn.Linear(content_dim, token_dim),
            nn.GELU(),
            nn.Linear(token_dim, tokens * token_dim),
        )
        self.norm = nn.LayerNorm(token_dim)

    def forward(self, content: Tensor) -> Tensor:
        """(B, D_c) -> (B, T, P)."""
        return self.norm(self.expand(content).reshape(len(content), self.tokens, -1))  # type: ignore[no-any-return]


class DegradationGuidance(nn.Module):
    """Content-aware attention beside a spatial degradation mask (DAM; ClearAIR, eqs. 11-14).

    The mask is a value for each channel *and position*: it depends on the feature there and on the prompt
    of the region around it, so it can say where the damage is. Starts as the identity.
    """

    def __init__(self, channels: int, prompt_dim: int, token_dim: int, inner: int, heads: int) -> None:
        super().__init__()
        self.heads = heads if inner % heads == 0 else 1
        self.norm = LayerNorm(channels)
        self.project_in = nn.Conv2d(channels, inner, 1)
        self.to_key = spreading(nn.Linear(token_dim, inner))
        self.to_value = nn.Linear(token_dim, inner)
        self.to_scale = nn.Linear(prompt_dim, inner)
        self.to_shift = nn.Linear(prompt_dim, inner)
        self.to_mask = nn.Conv2d(inner, inner, 1)
        self.project_out = nn.Conv2d(2 * inner, channels, 1)
        nn.init.zeros_(self.project_out.weight)
        assert self.project_out.bias is not None
        nn.init.zeros_(self.project_out.bias)

    def forward(self, x: Tensor, content: Tensor, prompts: Tensor, members: Tensor) -> Tensor:
        """(B, C, H, W), (B, T, P), (B, N, P), (B, N, H, W) -> (B, C, H, W)."""
        hidden = self.project_in(self.norm(x))  # eq. 11
        content_aware = attend(hidden, self.to_key(content), self.to_value(content), self.heads)  # eq. 12
        scale = spread(1 + self.to_scale(prompts), members, hidden)
        shift = spread(self.to_shift(prompts), members, hidden)
        mask = self.to_mask(hidden * scale + shift).sigmoid()  # eq. 13
        return x + self.project_out(torch.cat([content_aware, mask * hidden], dim=1))  # type: ignore[no-any-return]


def spread(values: Tensor, members: Tensor, like: Tensor) -> Tensor:
    """Give every position the value of its region: (B, N, D), (B, N, H, W) -> (B, D, H, W)."""
    if values.shape[1] == 1:  # one value for the whole image
        return values.transpose(1, 2)[..., None].to(like.dtype)
    pixels = to_pixels(members).to(like.dtype) @ values.to(like.dtype)  # (B, H*W, D)
    return to_maps(pixels, *members.shape[-2:])

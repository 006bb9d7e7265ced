"""Where: every pixel attends to the regions of the image.

Shapes: B images, C channels, H x W positions, N regions, D channels inside the attention.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clearair.network.layers import LayerNorm, spreading, to_maps, to_pixels


def membership(labels: Tensor, regions: int, stride: int = 1) -> Tensor:
    """How much of each cell belongs to each region: (B, H, W) integers -> (B, N, H/s, W/s) in [0, 1].

    Sums to one over the regions; at stride 1 it is one-hot.
    """
    names = torch.arange(regions, device=labels.device, dtype=labels.dtype)[:, None, None]
    # Bytes are counted: as numbers, one for each region and pixel would be most of the cost of guidance.
    count = torch.zeros((), dtype=torch.uint8, device=labels.device)
    for down in range(stride):
        for right in range(stride):
            count = count + (labels[:, None, down::stride, right::stride] == names)
    return count.float() / stride**2


def drop_regions(
    labels: Tensor,
    regions: int,
    probability: float,
    generator: torch.Generator,
    batch: int | None = None,
    rows: slice = slice(None),
) -> Tensor:
    """Mask dropout: merge a random subset of the regions into the background label 0 (training only).

    (B, H, W) -> (B, H, W). Merging keeps the map a partition; zeroing would leave pixels without a region.
    The labels may be `rows` of a larger `batch`: what each loses does not depend on how that is divided.
    """
    drawn = torch.rand(batch or len(labels), regions, generator=generator, device=generator.device)[rows]
    kept = torch.arange(regions, device=drawn.device) * (drawn >= probability)  # (B, N): new of old labels
    flat = labels.long().flatten(1)
    moved = kept.to(labels.device, non_blocking=labels.device.type != "cpu")
    return moved.gather(1, flat).view_as(labels).to(labels.dtype)


@dataclass(frozen=True)
class RegionTokens:
    """One feature vector and one size for each region of an image."""

    features: Tensor
    """(B, N, C) mean of the features in each region, 0 for an empty one."""
    areas: Tensor
    """(B, N) number of positions in each region."""


class RegionAttention(nn.Module):
    """Cross-attention from pixels to region features (SCA; ClearAIR, eqs. 8-9), in O(HW N).

    In the paper keys and values come from a map in which each pixel holds the mean of its region. All
    pixels of a region then have the same key and value, so summing over pixels equals summing over
    regions with the region's area as weight: log(area) joins the logits. Starts as the identity.
    """

    def __init__(self, channels: int, token_channels: int, inner: int, heads: int) -> None:
        super().__init__()
        self.heads = heads if inner % heads == 0 else 1
        self.norm = nn.LayerNorm(token_channels)
        self.norm_query = LayerNorm(channels)
        self.to_query = nn.Conv2d(channels, inner, 1)
        self.to_key = spreading(nn.Linear(token_channels, inner))
        self.to_value = nn.Linear(token_channels, inner)
        self.project_out = nn.Conv2d(inner, channels, 1)
        nn.init.zeros_(self.project_out.weight)
        assert self.project_out.bias is not None
        nn.init.zeros_(self.project_out.bias)

    def forward(self, x: Tensor, tokens: RegionTokens) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        features = self.norm(tokens.features)
        mixed = attend(
            self.to_query(self.norm_query(x)),
            self.to_key(features),
            self.to_value(features),
            self.heads,
            tokens.areas.log(),
        )
        return x + self.project_out(mixed)  # type: ignore[no-any-return]


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, logit_bias: Tensor | None = None) -> Tensor:
    """Every position attends to a few tokens: (B, D, H, W), (B, T, D), (B, T, D) -> (B, D, H, W).

    `logit_bias` (B, T) is added to the logits; -inf removes a token.
    """
    height, width = query.shape[-2:]
    batch, tokens, width_of_head = key.shape[0], key.shape[1], query.shape[1] // heads
    rows = (
        to_pixels(query).reshape(batch, -1, heads, width_of_head).transpose(1, 2)
    )  # (B, heads, H*W, D/heads)
    keys = key.reshape(batch, tokens, heads, -1).transpose(1, 2).to(rows.dtype)  # (B, heads, T, D/heads)
    values = value.reshape(batch, tokens, heads, -1).transpose(1, 2).to(rows.dtype)  # (B, heads, T, D/heads)
    # One row a token: a softmax over a few tokens that lie side by side would fill no vector.
    logits = (keys * width_of_head**-0.5) @ rows.transpose(2, 3)  # (B, heads, T, H*W)
    if logit_bias is not None:
        logits = logits + logit_bias[:, None, :, None].to(logits.dtype)
    weights = logits.softmax(dim=2).to(values.dtype)
    mixed = weights.transpose(2, 3) @ values  # (B, heads, H*W, D/heads)
    return to_maps(mixed.transpose(1, 2).flatten(2), height, width)

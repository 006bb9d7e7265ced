"""Shared parts of the fused networks: layouts, and guidance of features with one row per pixel.

What depends on the picture alone (keys, values and what they are multiplied with) is multiplied out once,
not for each pixel.

Shapes: B images, h x w positions of a level, P = h * w, C channels, N regions, s = stem, T tokens,
D channels inside a guidance module.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.network.config import NetworkConfig
from clearair.network.degradation import DegradationGuidance
from clearair.network.layers import LayerNorm
from clearair.network.model import GuidanceModules
from clearair.network.regions import RegionAttention


@dataclass(frozen=True)
class FeatureJudgement:
    """The judgement, as far as the features are concerned; see `Judgement`."""

    quality: Tensor
    features: Tensor
    areas: Tensor
    content: Tensor
    prompts: Tensor


@dataclass(frozen=True)
class Extent:
    """The sizes of the levels of a window, and what it is padded by to fill them."""

    pad: tuple[int, int, int, int]
    sizes: list[tuple[int, int]]
    """(h, w) of each level, finest first."""

    @classmethod
    def of(cls, window: Tensor, config: NetworkConfig) -> Extent:
        """That of (B, 3, H, W) in a network of this configuration."""
        multiple, levels = config.multiple, len(config.channels)
        height, width = window.shape[2:]
        rows, columns = (height + multiple - 1) // multiple, (width + multiple - 1) // multiple
        pad = (0, columns * multiple - width, 0, rows * multiple - height)
        sizes = [(rows * 2 ** (levels - 1 - i), columns * 2 ** (levels - 1 - i)) for i in range(levels)]
        return cls(pad, sizes)

    def padded(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, s h, s w) of the finest level."""
        return F.pad(image, self.pad, mode="replicate")

    def cells(self, image: Tensor, stem: int) -> Tensor:
        """(B, 3, H, W) -> (B, 3 s^2, h, w) of the finest level."""
        return to_cells(self.padded(image), *self.sizes[0], stem)

    def members(self, labels: Tensor, config: NetworkConfig) -> list[Tensor]:
        """(B, H, W) -> (B, P, N) for each level."""
        return memberships(self.padded(labels[:, None].float())[:, 0], config, self.sizes)


def to_cells(image: Tensor, height: int, width: int, stem: int) -> Tensor:
    """(B, 3, s h, s w) -> (B, 3 s^2, h, w)."""
    if stem == 1:
        return image
    parts = image.reshape(-1, 3, height, stem, width, stem).permute(0, 1, 3, 5, 2, 4)
    return parts.reshape(-1, 3 * stem**2, height, width)


def to_image(cells: Tensor, height: int, width: int, stem: int) -> Tensor:
    """(B, 3 s^2, h, w) -> (B, 3, s h, s w), the opposite of `to_cells`."""
    if stem > 1:
        cells = cells.reshape(-1, 3, stem, stem, height, width).permute(0, 1, 4, 2, 5, 3)
    return cells.reshape(-1, 3, stem * height, stem * width)


def memberships(labels: Tensor, config: NetworkConfig, sizes: list[tuple[int, int]]) -> list[Tensor]:
    """(B, s h, s w) whole numbers -> (B, P, N) for each level, see `network.regions.membership`."""
    height, width = sizes[0]
    stem, count, batch = config.stem, config.region_count, labels.shape[0]
    parts = labels.reshape(batch, height, stem, width, stem).long()
    table = torch.eye(count) / stem**2
    places = [parts[:, :, down, :, right].flatten() for down in range(stem) for right in range(stem)]
    member = table.index_select(0, places[0])
    for place in places[1:]:
        member = member + table.index_select(0, place)
    members = [member.reshape(batch, -1, count)]
    for height, width in sizes[1:]:
        pairs = members[-1].reshape(batch, height, 2, width * 2 * count)
        pairs = (pairs[:, :, 0] + pairs[:, :, 1]).reshape(batch, height * width, 2, count)
        members.append((pairs[:, :, 0] + pairs[:, :, 1]) / 4)
    return members


def layer_norm(norm: LayerNorm, x: Tensor) -> Tensor:
    """A norm with a bias, of (B, P, C)."""
    return F.layer_norm(x, norm.weight.shape, norm.weight, norm.bias, norm.eps)


def guided(guide: nn.Module, x: Tensor, judgement: FeatureJudgement, members: Tensor) -> Tensor:
    """The guidance modules of a level: (B, P, C) and its regions (B, P, N) -> (B, P, C)."""
    assert isinstance(guide, GuidanceModules)
    for perception in guide.order:
        if perception == "how":
            scale, shift = guide.how.to_scale(judgement.quality), guide.how.to_shift(judgement.quality)
            x = x * scale[:, None] + shift[:, None]
        elif perception == "where":
            x = _where(guide.where, x, judgement)
        else:
            x = _what(guide.what, x, judgement, members)
    return x


def _where(guide: RegionAttention, x: Tensor, judgement: FeatureJudgement) -> Tensor:
    features = guide.norm(judgement.features)
    key, value = guide.to_key(features), guide.to_value(features)
    attended = _Attention(guide.to_query, key, value, guide.project_out.weight, guide.heads)
    shares = attended.shares(layer_norm(guide.norm_query, x), judgement.areas.log())
    assert guide.project_out.bias is not None
    return x + shares @ (attended.values + guide.project_out.bias / guide.heads)


def _what(guide: DegradationGuidance, x: Tensor, judgement: FeatureJudgement, members: Tensor) -> Tensor:
    normed = layer_norm(guide.norm, x)
    hidden = F.linear(normed, guide.project_in.weight[:, :, 0, 0], guide.project_in.bias)
    inner = hidden.shape[2]
    out = guide.project_out.weight
    key, value = guide.to_key(judgement.content), guide.to_value(judgement.content)
    attended = _Attention(guide.project_in, key, value, out[:, :inner], guide.heads)
    shares = attended.shares(normed)
    scale = 1 + guide.to_scale(judgement.prompts)  # (B, N, D)
    to_mask = guide.to_mask.weight[:, :, 0, 0]
    # The shares of the regions sum to one, so what follows the scaling can be said for each region.
    shift = F.linear(guide.to_shift(judgement.prompts), to_mask, guide.to_mask.bias)  # (B, N, D)
    mask = (F.linear(hidden * (members @ scale), to_mask) + members @ shift).sigmoid()
    assert guide.project_out.bias is not None
    values = attended.values + guide.project_out.bias / guide.heads
    weight = torch.cat([values, out[:, inner:, 0, 0].T.expand(len(x), -1, -1)], dim=1)
    return x + torch.cat([shares, mask * hidden], dim=2) @ weight


class _Attention:
    """Attention to a few tokens, with what is before and after it multiplied out once for a picture.

    `values` (B, heads * T, C) are what each token adds to the features, without the bias: the shares of a
    head sum to one, so a bias can join the values.
    """

    def __init__(self, query: nn.Conv2d, key: Tensor, value: Tensor, out: Tensor, heads: int) -> None:
        batch, tokens, inner = key.shape
        width = inner // heads
        assert query.bias is not None
        keys = (
            key.reshape(batch, tokens, heads, width).transpose(1, 2) * width**-0.5
        )  # (B, heads, T, D/heads)
        self.heads = heads
        self.keys = (keys @ query.weight.reshape(heads, width, -1)).flatten(1, 2)  # (B, heads * T, C)
        self.bias = (keys @ query.bias.reshape(heads, width, 1)).squeeze(3)  # (B, heads, T)
        values = value.reshape(batch, tokens, heads, width).transpose(1, 2)
        outs = out.reshape(-1, heads, width).permute(1, 2, 0)  # (heads, D/heads, C)
        self.values = (values @ outs).flatten(1, 2)

    def shares(self, x: Tensor, logit_bias: Tensor | None = None) -> Tensor:
        """(B, P, C) -> (B, P, heads * T), which sum to one over each head's T."""
        bias = self.bias if logit_bias is None else self.bias + logit_bias[:, None]
        logits = x @ self.keys.transpose(1, 2) + bias.flatten(1)[:, None]
        shares: Tensor = logits.unflatten(2, (self.heads, -1)).softmax(dim=3).flatten(2)
        return shares

"""`FinishedNetwork.restore` of a window for the paper's family, as ONNX Runtime computes it fastest on a CPU.

As in `fused.py`, the stream of features is kept one row a pixel, and maps exist only around convolutions.
Around a channel's own 3x3 convolution maps stay in the blocks of channels that ONNX Runtime multiplies: each
of query, key, value and gate has convolutions of its own, so that no map is split, and their channels are
filled up with zeros to whole blocks, which add nothing. All weights are the network's own parameters; what is
derived from them is constant when a graph is loaded.

Shapes: B images, H x W pixels of the window, h x w positions of a level, P = h * w, C channels, N heads,
d = C / N, s = stem.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.exporting.guided import Extent, FeatureJudgement, guided, layer_norm, to_image
from clearair.finishing import FinishedNetwork
from clearair.network.blocks import ChannelAttention, GatedFeedForward, TransformerBlock
from clearair.network.config import NetworkConfig
from clearair.network.layers import to_maps, to_pixels
from clearair.network.model import Downsample, Upsample

BLOCK = 16
"""Channels that ONNX Runtime keeps together where the processor has AVX-512; with AVX2, 8."""

Size = tuple[int, int]


def is_supported(config: NetworkConfig) -> bool:
    """Whether `FusedBase` knows every part of such a network."""
    return (
        set(config.block) == {"restormer"}
        and config.resampling == "conv3x3"
        and config.padding == "zeros"
        and {config.quality, config.regions, config.degradation} == {"perceived"}
        and config.local_degradation
        and config.norm_bias
        and not config.tone
        and not config.cautious
    )


class FusedBase(nn.Module):
    """Restores windows as its network does. Raises ValueError for a network it does not know."""

    def __init__(self, network: FinishedNetwork) -> None:
        super().__init__()
        if not is_supported(network.config):
            raise ValueError("This network has parts that FusedBase does not know.")
        self.network = network

    def forward(
        self,
        window: Tensor,
        labels: Tensor,
        quality: Tensor,
        features: Tensor,
        areas: Tensor,
        content: Tensor,
        prompts: Tensor,
    ) -> Tensor:
        """(B, 3, H, W) and its labels (B, H, W) -> (B, 3, H, W), not clamped; the rest is a `Judgement`."""
        network, config = self.network, self.network.config
        judgement = FeatureJudgement(quality, features, areas, content, prompts)
        stem, levels = config.stem, len(config.channels)
        height, width = window.shape[2:]
        extent = Extent.of(window, config)
        sizes, members = extent.sizes, extent.members(labels, config)
        x = to_pixels(network.extraction(extent.cells(window, stem)))
        skips: list[Tensor] = []
        for i, (guide, blocks) in enumerate(zip(network.encoder_guidance, network.encoder, strict=True)):
            if i:
                skips.append(x)
                x = _down(network.down[i - 1], to_maps(x, *sizes[i - 1]))
            x = _blocks(blocks, guided(guide, x, judgement, members[i]), sizes[i])
        for i in reversed(range(levels - 1)):
            x = _joined(network.up[i], network.reduce[i], x, skips[i], sizes[i + 1])
            x = _blocks(network.decoder[i], x, sizes[i])
            x = guided(network.decoder_guidance[i], x, judgement, members[i])
        x = _blocks(network.refinement, x, sizes[0])
        added: Tensor = network.reconstruction(to_maps(x, *sizes[0]))
        return window + to_image(added, *sizes[0], stem)[..., :height, :width]


def _down(down: nn.Module, x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, P / 4, C').

    A 3x3 convolution and the unshuffle of 2 x 2 positions are one of 4x4 at every second position: each of
    the four positions has the same weights, elsewhere in it, and zeros.
    """
    conv = _convolution(down, Downsample)
    places = [F.pad(conv.weight, (x, 1 - x, y, 1 - y)) for y in (0, 1) for x in (0, 1)]
    return to_pixels(F.conv2d(x, torch.stack(places, dim=1).flatten(0, 1), stride=2, padding=1))


def _joined(up: nn.Module, reduce: nn.Module, low: Tensor, skip: Tensor, size: Size) -> Tensor:
    """A decoder level's input: (B, P / 4, C') from below and (B, P, C) from the encoder -> (B, P, C").

    A shuffle and a 1x1 convolution commute, so the latter is part of the 3x3 convolution before.
    """
    channels = skip.shape[2]
    weight = _convolution(up, Upsample).weight
    # The four positions come first: whole rows of memory are shuffled.
    weight = weight.reshape(channels, 4, -1).transpose(0, 1)  # (4, C, C' * 9)
    if isinstance(reduce, nn.Conv2d):
        weight = reduce.weight[:, :channels, 0, 0] @ weight
    width = weight.shape[1]
    maps = F.conv2d(to_maps(low, *size), weight.reshape(4 * width, -1, 3, 3), padding=1)
    parts = to_pixels(maps).reshape(-1, size[0], size[1], 2, 2 * width).transpose(2, 3)
    risen = parts.reshape(len(skip), -1, width)
    if isinstance(reduce, nn.Conv2d):
        return risen + F.linear(skip, reduce.weight[:, channels:, 0, 0], reduce.bias)
    return torch.cat([risen, skip], dim=2)


def _convolution(resampling: nn.Module, kind: type[Downsample] | type[Upsample]) -> nn.Conv2d:
    assert isinstance(resampling, kind)
    conv = resampling.body[0]
    assert isinstance(conv, nn.Conv2d)
    return conv


def _blocks(blocks: nn.Module, x: Tensor, size: Size) -> Tensor:
    assert isinstance(blocks, nn.Sequential)
    for block in blocks:
        assert isinstance(block, TransformerBlock)
        x = x + _mixed(block.attn, to_maps(layer_norm(block.norm1, x), *size))
        x = x + _fed_forward(block.ffn, to_maps(layer_norm(block.norm2, x), *size))
    return x


def _mixed(attn: ChannelAttention, x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, P, C); the map of attention is multiplied with the projection, not with pixels."""
    query, key, value = (
        _depthwise(x, *weights)
        for weights in zip(_parts(attn.qkv, 3), _parts(attn.qkv_dwconv, 3), strict=True)
    )
    batch, channels = query.shape[:2]
    query, key = (part.reshape(batch, attn.heads, channels // attn.heads, -1) for part in (query, key))
    lengths = [part.square().sum(dim=3, keepdim=True).sqrt().clamp_min(1e-12) for part in (query, key)]
    products = (query @ key.transpose(2, 3)) / lengths[0] / lengths[1].transpose(2, 3)
    shares = (products * attn.temperature).softmax(dim=3)  # (B, N, d, d)
    out = attn.project_out.weight.reshape(channels, attn.heads, -1).permute(1, 2, 0)  # (N, d, C)
    mixed = to_pixels(value) @ (shares.transpose(2, 3) @ out).flatten(1, 2)
    return mixed if attn.project_out.bias is None else mixed + attn.project_out.bias


def _fed_forward(ffn: GatedFeedForward, x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, P, C)."""
    gate, value = (
        _depthwise(x, *weights)
        for weights in zip(_filled_parts(ffn.project_in, 2), _filled_parts(ffn.dwconv, 2), strict=True)
    )
    hidden = F.gelu(gate) * value
    weight = _filled(ffn.project_out.weight, 1)
    return to_pixels(F.conv2d(hidden, weight, ffn.project_out.bias))


Weights = tuple[Tensor, Tensor | None]
"""Of a convolution, and its bias."""


def _parts(conv: nn.Conv2d, count: int) -> list[Weights]:
    """Weights and biases of equal parts of its output channels."""
    biases = [None] * count if conv.bias is None else conv.bias.chunk(count)
    return list(zip(conv.weight.chunk(count), biases, strict=True))


def _filled_parts(conv: nn.Conv2d, count: int) -> list[Weights]:
    """The same, each filled up to whole blocks."""
    return [
        (_filled(weight, 0), None if bias is None else _filled(bias, 0))
        for weight, bias in _parts(conv, count)
    ]


def _filled(weight: Tensor, dim: int) -> Tensor:
    """The same with channels of zeros, so that `dim` is a multiple of `BLOCK`."""
    missing = -weight.shape[dim] % BLOCK
    if missing == 0:
        return weight
    shape = [missing if axis == dim else side for axis, side in enumerate(weight.shape)]
    return torch.cat([weight, torch.zeros(shape)], dim=dim)


def _depthwise(x: Tensor, inner: Weights, outer: Weights) -> Tensor:
    """A 1x1 convolution, then a 3x3 one of each channel by itself."""
    return F.conv2d(F.conv2d(x, *inner), *outer, padding=1, groups=len(outer[0]))

"""The blocks of the backbone: Restormer's transformer block, and two that suit a CPU better.

Shapes: B images, C channels, H x W positions, N heads.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.network.config import Block, Padding
from clearair.network.layers import Conv2d, LayerNorm, at_least_float32


class ChannelAttention(nn.Module):
    """Attention between channels instead of positions (MDTA; Zamir et al., CVPR 2022, eq. 1).

    The attention map is (C/N, C/N) however large the image is, so the cost is linear in pixels.
    """

    def __init__(self, channels: int, heads: int, bias: bool, padding: Padding) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=bias)
        self.qkv_dwconv = depthwise(3 * channels, bias, padding)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        batch, _, height, width = x.shape
        query, key, value = (
            part.reshape(batch, self.heads, -1, height * width)  # (B, N, C/N, H*W)
            for part in self.qkv_dwconv(self.qkv(x)).chunk(3, dim=1)
        )
        # The norm runs over all pixels: in half precision its sum would lose most of them.
        query, key = (F.normalize(at_least_float32(part), dim=-1).to(value.dtype) for part in (query, key))
        attention = ((query @ key.transpose(-2, -1)) * self.temperature).softmax(dim=-1)
        mixed = attention.to(value.dtype) @ value  # (B, N, C/N, H*W)
        return self.project_out(mixed.reshape(batch, -1, height, width))  # type: ignore[no-any-return]


class GatedFeedForward(nn.Module):
    """Feed-forward with a depthwise convolution and a GELU gate (GDFN; Zamir et al., CVPR 2022, eq. 2)."""

    def __init__(self, channels: int, expansion: float, bias: bool, padding: Padding) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=bias)
        self.dwconv = depthwise(2 * hidden, bias, padding)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        gate, value = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        return self.project_out(F.gelu(gate) * value)  # type: ignore[no-any-return]


class TransformerBlock(nn.Module):
    """Restormer's block, the paper's PTB: x + MDTA(LN(x)), then x + GDFN(LN(x))."""

    def __init__(
        self, channels: int, heads: int, expansion: float, bias: bool, norm_bias: bool, padding: Padding
    ) -> None:
        super().__init__()
        self.norm1 = LayerNorm(channels, norm_bias)
        self.attn = ChannelAttention(channels, heads, bias, padding)
        self.norm2 = LayerNorm(channels, norm_bias)
        self.ffn = GatedFeedForward(channels, expansion, bias, padding)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))  # type: ignore[no-any-return]


class GatedConvBlock(nn.Module):
    """A transformer block whose mixing is a gated depthwise convolution (after Chen et al., ECCV 2022).

    NAFNet's block without its pooled channel attention: what needs the whole image reaches this network
    through guidance, and a block without global statistics gives the same answer in a tile as in the image.
    """

    def __init__(
        self, channels: int, expansion: float, bias: bool, norm_bias: bool, padding: Padding
    ) -> None:
        super().__init__()
        hidden = int(channels * expansion) // 2
        self.norm1 = LayerNorm(channels, norm_bias)
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=bias)
        self.dwconv = depthwise(2 * hidden, bias, padding)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=bias)
        self.norm2 = LayerNorm(channels, norm_bias)
        self.ffn_in = nn.Conv2d(channels, 2 * hidden, 1, bias=bias)
        self.ffn_out = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        gate, value = self.dwconv(self.project_in(self.norm1(x))).chunk(2, dim=1)
        x = x + self.project_out(gate * value)
        gate, value = self.ffn_in(self.norm2(x)).chunk(2, dim=1)
        return x + self.ffn_out(gate * value)  # type: ignore[no-any-return]


class ConvBlock(nn.Module):
    """x + 1x1(ReLU(3x3(x))): the fewest memory passes for each multiplication.

    At high resolution a CPU waits for memory, not for arithmetic: a dense 3x3 convolution then costs
    less time than a depthwise one with its expansions, though it multiplies more.
    """

    def __init__(self, channels: int, bias: bool, padding: Padding) -> None:
        super().__init__()
        self.mix = Conv2d(channels, channels, 3, padding=1, padding_mode=padding, bias=bias)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.project_out(F.relu(self.mix(x)))  # type: ignore[no-any-return]


def depthwise(channels: int, bias: bool, padding: Padding) -> nn.Conv2d:
    """3x3, each channel by itself: (B, C, H, W) -> the same."""
    return Conv2d(channels, channels, 3, padding=1, padding_mode=padding, groups=channels, bias=bias)


def make_block(
    kind: Block,
    channels: int,
    heads: int,
    expansion: float,
    bias: bool,
    norm_bias: bool,
    padding: Padding = "zeros",
) -> nn.Module:
    """One block of a level, (B, C, H, W) -> (B, C, H, W)."""
    if kind == "restormer":
        return TransformerBlock(channels, heads, expansion, bias, norm_bias, padding)
    if kind == "gated":
        return GatedConvBlock(channels, expansion, bias, norm_bias, padding)
    return ConvBlock(channels, bias, padding)

"""MUSIQ: a transformer that rates whole photographs at several scales; higher is better.

Ke et al., "MUSIQ: Multi-scale Image Quality Transformer", ICCV 2021. The network has the layout of the
weights trained on KonIQ-10k that published comparisons use (`musiq_koniq_ckpt-e95806b9.pth`). They are loaded
from a file, which its authors distribute.

Shapes: B patches, T tokens (patches of all scales), D channels of the transformer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearair.evaluation.metrics import Values
from clearair.weights import check_fit, read_weight_file, tensors_by_name

PATCH = 32
"""Side of a patch in pixels."""
ROOT = 64
"""Channels of the convolutions before the transformer."""


@dataclass(frozen=True)
class MusiqConfig:
    """The shape of the network; the defaults are those of the published weights, 27.1M parameters."""

    width: int = 384
    hidden: int = 1152
    heads: int = 6
    layers: int = 14
    grid: int = 10
    """Side of the grid to which positions are hashed."""
    longer_sides: tuple[int, ...] = (224, 384)
    """The picture is also looked at with its longer side resized to these, besides its own size."""


class Musiq(nn.Module):
    """The network. Parameters carry the names that the published weights have."""

    def __init__(self, config: MusiqConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MusiqConfig()
        self.conv_root = _StandardisedConv(3, ROOT, 7, stride=2)
        self.gn_root = nn.GroupNorm(32, ROOT, eps=1e-6)
        self.block1 = _Bottleneck(ROOT, 4 * ROOT)
        self.embedding = nn.Linear(4 * ROOT * (PATCH // 4) ** 2, config.width)
        self.transformer_encoder = _Encoder(config)
        self.head = nn.Linear(config.width, 1)

    def forward(self, image: Tensor) -> Tensor:
        """One RGB image in [0, 1], (1, 3, H, W) -> a scalar, 0..100 with the published weights."""
        patches, positions, scales = multiscale_patches(2 * image - 1, self.config)
        # A photograph of 12 megapixels has 12,000 patches: never all of them in convolutions at once.
        tokens = torch.cat([self._embed(some) for some in torch.split(patches, 256)])
        encoded: Tensor = self.transformer_encoder(tokens, positions, scales)
        quality: Tensor = self.head(encoded[0])[0]
        return quality

    def _embed(self, patches: Tensor) -> Tensor:
        """(B, 3, 32, 32) -> (B, D)."""
        features = F.relu(self.gn_root(self.conv_root(patches)))
        features = self.block1(F.max_pool2d(_pad_same(features, 3, 2), 3, 2))
        embedded: Tensor = self.embedding(features.permute(0, 2, 3, 1).flatten(1))  # channels vary fastest
        return embedded


class _StandardisedConv(nn.Conv2d):
    """Convolution with kernels of mean 0 and deviation 1, padded as TensorFlow pads."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, side, stride, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        side, stride = self.kernel_size[0], self.stride[0]
        return F.conv2d(_pad_same(image, side, stride), weight, stride=stride)


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = _StandardisedConv(inputs, inputs, 1)
        self.gn1 = nn.GroupNorm(32, inputs, eps=1e-4)
        self.conv2 = _StandardisedConv(inputs, inputs, 3)
        self.gn2 = nn.GroupNorm(32, inputs, eps=1e-4)
        self.conv3 = _StandardisedConv(inputs, outputs, 1)
        self.gn3 = nn.GroupNorm(32, outputs, eps=1e-4)
        self.conv_proj = _StandardisedConv(inputs, outputs, 1)
        self.gn_proj = nn.GroupNorm(32, outputs, eps=1e-4)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        inner = F.relu(self.gn1(self.conv1(features)))
        inner = F.relu(self.gn2(self.conv2(inner)))
        return F.relu(self.gn3(self.conv3(inner)) + self.gn_proj(self.conv_proj(features)))


class _Encoder(nn.Module):
    def __init__(self, config: MusiqConfig) -> None:
        super().__init__()
        self.posembed_input = nn.Module()
        self.posembed_input.position_emb = nn.Parameter(torch.zeros(1, config.grid**2, config.width))
        self.scaleembed_input = nn.Module()
        self.scaleembed_input.scale_emb = nn.Parameter(torch.zeros(3, config.width))
        self.cls = nn.Parameter(torch.zeros(1, 1, config.width))
        self.transformer = nn.ModuleDict(
            {f"encoderblock_{index}": _Block(config) for index in range(config.layers)}
        )
        self.encoder_norm = nn.LayerNorm(config.width, eps=1e-6)

    def forward(self, tokens: Tensor, positions: Tensor, scales: Tensor) -> Tensor:
        """(T, D), (T,), (T,) -> (1 + T, D), what stands for the image first."""
        tokens = tokens + self.posembed_input.position_emb[0, positions]  # type: ignore[index]
        tokens = tokens + self.scaleembed_input.scale_emb[scales]  # type: ignore[index]
        tokens = torch.cat([self.cls[0], tokens])
        for block in self.transformer.values():
            tokens = block(tokens)
        encoded: Tensor = self.encoder_norm(tokens)
        return encoded


class _Block(nn.Module):
    def __init__(self, config: MusiqConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attention = _Attention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = nn.Module()
        self.mlp.fc1 = nn.Linear(config.width, config.hidden)
        self.mlp.fc2 = nn.Linear(config.hidden, config.width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(1 + T, D) -> the same."""
        tokens = tokens + self.attention(self.norm1(tokens))
        grown: Tensor = tokens + self.mlp.fc2(F.gelu(self.mlp.fc1(self.norm2(tokens))))  # type: ignore[operator]
        return grown


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(1 + T, D) -> the same."""
        split = [
            part(tokens).unflatten(1, (self.heads, -1)).transpose(0, 1)[None]
            for part in (self.query, self.key, self.value)
        ]
        mixed = F.scaled_dot_product_attention(*split)  # (1, heads, 1 + T, D / heads)
        out: Tensor = self.out(mixed[0].transpose(0, 1).flatten(1))
        return out


def multiscale_patches(image: Tensor, config: MusiqConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Patches of an image at all scales, smallest first, (1, 3, H, W) -> (T, 3, 32, 32), (T,), (T,).

    The second is the place in the hashed grid, the third the scale. The published code fills each scale up
    to a fixed number of tokens and masks those; they change nothing and are left out here.
    """
    height, width = image.shape[-2:]
    views = []
    for side in sorted(config.longer_sides):
        ratio = side / max(height, width)
        size = (max(1, round(height * ratio)), max(1, round(width * ratio)))
        views.append(F.interpolate(image, size, mode="bicubic"))
    views.append(image)
    patches, positions, scales = [], [], []
    for scale, view in enumerate(views):
        rows, columns = (math.ceil(length / PATCH) for length in view.shape[-2:])
        unfolded = F.unfold(_pad_same(view, PATCH, PATCH), PATCH, stride=PATCH)
        patches.append(torch.unflatten(unfolded[0].T, 1, (3, PATCH, PATCH)))
        row, column = (_hashed(count, config.grid).to(image.device) for count in (rows, columns))
        positions.append((row[:, None] * config.grid + column).flatten())
        scales.append(torch.full_like(positions[-1], scale))
    return torch.cat(patches), torch.cat(positions), torch.cat(scales)


def _hashed(count: int, grid: int) -> Tensor:
    """Grid positions of `count` patches, (count,): each takes the nearest."""
    places = torch.arange(grid, dtype=torch.float32)[None, None]
    return F.interpolate(places, count, mode="nearest")[0, 0].long()


def load_musiq(path: Path | str, device: torch.device | str = "cpu") -> Musiq:
    """The network with weights from a file of the published layout. Raises ModelError."""
    path = Path(path)
    stored = tensors_by_name(read_weight_file(path), path, "MUSIQ", inside=("params",))
    network = Musiq()
    check_fit(stored, network.state_dict(), path, "MUSIQ for KonIQ-10k")
    network.load_state_dict(stored)
    return network.eval().requires_grad_(False).to(device)


def musiq(image: Values, network: Musiq) -> float:
    """The quality of an image (H, W, 3) in 0..255, 0..100; higher is better."""
    device = network.head.weight.device
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)) / 255
    with torch.inference_mode():
        return float(network(pixels[None].to(device)))


def _pad_same(image: Tensor, side: int, stride: int) -> Tensor:
    """Zeros around an image so that each stride gives one value, the larger part after it (TensorFlow)."""
    height, width = (
        max(0, (math.ceil(length / stride) - 1) * stride + side - length) for length in image.shape[-2:]
    )
    return F.pad(image, (width // 2, width - width // 2, height // 2, height - height // 2))

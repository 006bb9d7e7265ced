"""The backbone: statistics of every stage, and the published weights folded."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.perception.compact.backbone import FEATURES, STAGES, STATISTICS, STEM, Backbone, from_published


def published(seed: int = 0) -> dict[str, Tensor]:
    """Random weights in the published layout, batch normalisation apart."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    weights: dict[str, Tensor] = {}

    def add(name: str, norm: str, outputs: int, inputs: int, kernel: int) -> None:
        weights[f"{name}.weight"] = random(outputs, inputs, kernel, kernel) / (inputs * kernel**2) ** 0.5
        weights[f"{norm}.weight"] = 1 + 0.1 * random(outputs)
        weights[f"{norm}.bias"] = 0.1 * random(outputs)
        weights[f"{norm}.running_mean"] = 0.1 * random(outputs)
        weights[f"{norm}.running_var"] = random(outputs).abs() + 0.5

    add("_conv_stem", "_bn0", STEM, 3, 3)
    number, width = 0, STEM
    for stage in STAGES:
        for _ in range(stage.repeats):
            prefix, inner = f"_blocks.{number}.", width * stage.expansion
            if stage.expansion > 1:
                add(f"{prefix}_expand_conv", f"{prefix}_bn0", inner, width, 1)
            add(f"{prefix}_depthwise_conv", f"{prefix}_bn1", inner, 1, stage.kernel)
            add(f"{prefix}_project_conv", f"{prefix}_bn2", stage.width, inner, 1)
            width, number = stage.width, number + 1
    return weights


def literal(image: Tensor, weights: dict[str, Tensor]) -> list[Tensor]:
    """The outputs of every stage, from the description of the architecture, in float64."""

    def same(x: Tensor, name: str, stride: int, groups: int = 1) -> Tensor:
        weight = weights[f"{name}.weight"].double()
        kernel = weight.shape[2]
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, scale, shift = (
            weights[f"{name}.{part}"].double() for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, scale, shift, eps=1e-3)

    x = F.relu6(norm(same((255 * image.double() - 127) / 128, "_conv_stem", 2), "_bn0"))
    outputs, number = [], 0
    for stage in STAGES:
        for index in range(stage.repeats):
            prefix, before = f"_blocks.{number}.", x
            if stage.expansion > 1:
                x = F.relu6(norm(same(x, f"{prefix}_expand_conv", 1), f"{prefix}_bn0"))
            stride = stage.stride if index == 0 else 1
            x = F.relu6(norm(same(x, f"{prefix}_depthwise_conv", stride, x.shape[1]), f"{prefix}_bn1"))
            x = norm(same(x, f"{prefix}_project_conv", 1), f"{prefix}_bn2")
            if index:
                x = x + before
            number += 1
        outputs.append(x)
    return outputs


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (160, 224)])
def test_statistics_are_those_of_the_described_architecture(size):
    weights = published()
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = from_published(weights)(image)
    expected = torch.cat(
        [
            value
            for stage in literal(image, weights)
            for value in (
                stage.mean(dim=(2, 3)),
                stage.flatten(2).std(dim=2, correction=0),
                stage.amax(dim=(2, 3)),
                stage.amin(dim=(2, 3)),
            )
        ],
        dim=1,
    )
    assert found.shape == (2, FEATURES)
    torch.testing.assert_close(found.double(), expected, atol=2e-3, rtol=2e-3)


def test_every_stage_has_four_statistics_of_each_channel():
    assert STATISTICS * sum(stage.width for stage in STAGES) == FEATURES == 3136


def test_a_missing_tensor_is_an_error():
    weights = published()
    del weights["_blocks.3._bn1.bias"]
    with pytest.raises(KeyError, match=r"_blocks\.3\._bn1\.bias"):
        from_published(weights)


def test_the_same_picture_in_a_batch_and_alone():
    backbone = Backbone().eval()
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images)[1:2], backbone(images[1:2]), atol=1e-4, rtol=1e-4)

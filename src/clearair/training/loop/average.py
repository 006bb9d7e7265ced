"""Averages of weights: over the steps of a run, which is its result, and of several models."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from clearair.errors import TrainingError


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights, in place."""
    targets = [value for value in average.state_dict().values() if value.is_floating_point()]
    sources = [value for value in network.state_dict().values() if value.is_floating_point()]
    torch._foreach_lerp_(targets, sources, 1 - decay)


def decay_at(step: int, longest: float) -> float:
    """Decay of the average after `step` steps: small at first, so that the first weights are forgotten."""
    return min(longest, step / (step + 10))


def mean_weights(models: Mapping[str, tuple[Mapping[str, Tensor], float]]) -> dict[str, Tensor]:
    """Return the mean of weights by their shares, {model: (weights, share)}, in float32.

    Raises TrainingError for models of different networks.
    """
    shapes = {
        model: {name: value.shape for name, value in weights.items()}
        for model, (weights, _) in models.items()
    }
    first, *others = shapes
    for other in others:
        if shapes[other] != shapes[first]:
            raise TrainingError(f"{first} and {other} are models of different networks.")
    return {
        name: torch.stack([share * weights[name].float() for weights, share in models.values()]).sum(0)
        for name in shapes[first]
    }

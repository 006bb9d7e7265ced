"""The exponential average of a network's weights: what a run ships."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights, in place."""
    targets = [value for value in average.state_dict().values() if value.is_floating_point()]
    sources = [value for value in network.state_dict().values() if value.is_floating_point()]
    torch._foreach_lerp_(targets, sources, 1 - decay)


def decay_at(step: int, longest: float) -> float:
    """Decay of the average after `step` steps: small at first, so that the first weights are forgotten."""
    return min(longest, step / (step + 10))

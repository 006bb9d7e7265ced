"""Muon for weight matrices and kernels, AdamW for everything else."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Momentum whose update of each weight matrix is made orthogonal (Jordan et al., 2024).

    A convolution counts as a matrix (outputs, inputs * positions); PyTorch's own Muon takes matrices only.
    The update is scaled to the size of one of AdamW (Liu et al., 2025), so both take the same learning rate.
    """

    def __init__(
        self, weights: list[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights that have a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                ahead = weight.grad.lerp(momentum, group["momentum"]).flatten(1)  # Nesterov
                update = orthogonalised(ahead) * 0.2 * math.sqrt(max(ahead.shape))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(update.view_as(weight), alpha=group["lr"])


def orthogonalised(matrix: Tensor) -> Tensor:
    """About the nearest matrix with orthonormal rows or columns, (M, N) -> (M, N): 5 Newton-Schulz steps."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(5):
        square = wide @ wide.T
        wide = 3.4445 * wide + (2.0315 * square @ square - 4.7750 * square) @ wide
    result: Tensor = wide if matrix.shape[0] <= matrix.shape[1] else wide.T
    return result


def make_optimizers(
    network: nn.Module, learning_rate: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """Muon and AdamW, together holding every parameter once; one alone when the other has none.

    Depthwise kernels stay with AdamW: each of their channels is a filter of its own, not a matrix.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in network.parameters():
        is_matrix = (
            parameter.ndim in (2, 4) and min(parameter.flatten(1).shape) > 1 and parameter.shape[1] > 1
        )
        (matrices if is_matrix else others).append(parameter)
    optimizers: list[torch.optim.Optimizer] = []
    if matrices:
        optimizers.append(Muon(matrices, learning_rate, weight_decay))
    if others:
        optimizers.append(torch.optim.AdamW(others, lr=learning_rate, weight_decay=0.0, betas=(0.9, 0.99)))
    return optimizers

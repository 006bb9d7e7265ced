"""Muon for weight matrices and kernels and AdamW for everything else, or AdamW alone, as the paper has it."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from clearair.runtime.precision import learning_type

QUINTICS = (
    (8.3837, -24.7659, 18.3571),
    (4.0083, -2.9277, 0.5428),
    (3.497, -2.5733, 0.5045),
    (2.5159, -1.8336, 0.4265),
)
"""Weights of x, x^3 and x^5: each is the odd quintic closest to 1 over the image of [0.003, 1] under the
previous ones, with 1 % to spare (Polar Express; Amsel et al., 2025). Four do as well as five equal ones."""
HEADROOM = 1.02
"""A matrix of rank one has a singular value as large as its norm; rounded up, it would leave the first
quintic's range."""


Optimization = Literal["muon", "adamw"]


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
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            gradients = [weight.grad for weight in weights]
            momenta = [self._momentum(weight) for weight in weights]
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])  # Nesterov
            # Matrices of one shape are iterated together: many are too small to keep a core busy.
            alike: dict[tuple[int, ...], list[int]] = {}
            for index, update in enumerate(ahead):
                alike.setdefault(tuple(sorted(update.flatten(1).shape)), []).append(index)
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            for shape, members in alike.items():
                # Transposed, so that all have fewer rows than columns.
                flat = [ahead[index].flatten(1) for index in members]
                wide = torch.stack([matrix if tuple(matrix.shape) == shape else matrix.T for matrix in flat])
                updates = [
                    (update if tuple(matrix.shape) == shape else update.T).reshape(weights[index].shape)
                    for index, matrix, update in zip(members, flat, orthogonalised(wide), strict=True)
                ]
                chosen = [weights[index] for index in members]
                torch._foreach_add_(chosen, updates, alpha=-0.2 * math.sqrt(shape[1]) * group["lr"])

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"]
        return momentum


def orthogonalised(matrices: Tensor) -> Tensor:
    """About the nearest matrices with orthonormal rows, (G, M, N) -> the same, M <= N.

    Each singular value, as a share of the matrix's norm, goes through `QUINTICS`: those of at least 0.003
    come out between 0.78 and 1.22, smaller ones 290 times as large. Five steps of Muon's first quintic
    (Jordan et al., 2024) leave 0.68 to 1.13. In bfloat16 where that is fast:
    its rounding is far finer than that spread.
    """
    norms = torch.linalg.vector_norm(matrices, dim=(1, 2), keepdim=True)
    wide = (matrices / (HEADROOM * norms + 1e-7)).to(learning_type(matrices.device))
    for first, third, fifth in QUINTICS:
        square = wide @ wide.mT
        curve = torch.baddbmm(square, square, square, beta=third, alpha=fifth)
        wide = torch.baddbmm(wide, curve, wide, beta=first)
    result: Tensor = wide.to(matrices.dtype)
    return result


def make_optimizers(
    network: nn.Module, learning_rate: float, weight_decay: float, kind: Optimization = "muon"
) -> list[torch.optim.Optimizer]:
    """Muon and AdamW, together holding every trained parameter once; one alone when the other has none.

    Depthwise kernels stay with AdamW: each of their channels is a filter of its own, not a matrix. "adamw" is
    AdamW (Loshchilov & Hutter, 2019) with betas of 0.9 and 0.999 and decay for all, as ClearAIR trains.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    if kind == "adamw":
        return [torch.optim.AdamW(trained, lr=learning_rate, weight_decay=weight_decay, fused=True)]
    for parameter in trained:
        is_matrix = (
            parameter.ndim in (2, 4) and min(parameter.flatten(1).shape) > 1 and parameter.shape[1] > 1
        )
        (matrices if is_matrix else others).append(parameter)
    optimizers: list[torch.optim.Optimizer] = []
    if matrices:
        optimizers.append(Muon(matrices, learning_rate, weight_decay))
    if others:
        adamw = torch.optim.AdamW(others, lr=learning_rate, weight_decay=0.0, betas=(0.9, 0.99), fused=True)
        optimizers.append(adamw)
    return optimizers

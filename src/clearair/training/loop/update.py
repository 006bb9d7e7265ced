"""One update of a network: gradients of a batch, clipped, averaged over the processes, and applied."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clearair.training.loop.guard import Guard
from clearair.training.loop.task import Batch, Network, Task


def update(
    task: Task[Network, Batch],
    batch: Batch,
    optimizers: list[torch.optim.Optimizer],
    generator: torch.Generator,
    guard: Guard | None = None,
) -> dict[str, Tensor]:
    """Make one update of the network. Returns loss, norm of the gradient and terms, averaged over processes.

    Does not wait for their values, except for the guard, which may skip the update.
    """
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    parts = task.split(batch)
    values: dict[str, Tensor] = {}
    for part in parts:
        terms = task.compare(part, generator)
        loss = torch.stack(list(terms.minimised.values())).sum() / len(parts)
        loss.backward()  # type: ignore[no-untyped-call]
        values["loss"] = values.get("loss", 0.0) + loss.detach()
        for name, value in (terms.minimised | terms.observed).items():
            values[name] = values.get(name, 0.0) + value.detach() / len(parts)
    trained = [weight for weight in task.network.parameters() if weight.requires_grad]
    gradients = [weight.grad for weight in trained if weight.grad is not None]
    task.processes.average([*gradients, *values.values()])
    norm = nn.utils.clip_grad_norm_(trained, task.plan.clip)
    if guard is None or guard.judge(*torch.stack([values["loss"].float(), norm.float()]).tolist()):
        for optimizer in optimizers:
            optimizer.step()
    return {"loss": values.pop("loss"), "gradient": norm, **values}


def set_rate(optimizers: list[torch.optim.Optimizer], learning_rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["lr"] = learning_rate

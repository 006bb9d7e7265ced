"""The interface between the loop and a training task, and that of watchers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from clearair.training.loop.processes import Processes

Network = TypeVar("Network", bound=nn.Module)
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Terms:
    """The loss of a network on a batch, term by term. All are scalars on its device."""

    minimised: dict[str, Tensor]
    """Their sum is the loss."""
    observed: dict[str, Tensor] = field(default_factory=dict)
    """Only reported."""


class Plan(Protocol):
    """The values that the loop needs from a recipe."""

    @property
    def steps(self) -> int:
        """Length of the run."""

    @property
    def seed(self) -> int:
        """All randomness is a function of it and of the step."""

    @property
    def learning_rate(self) -> float:
        """The full one."""

    @property
    def clip(self) -> float:
        """Largest norm of the gradient."""

    @property
    def ema(self) -> float:
        """Decay of the average of the weights."""

    @property
    def decay_start(self) -> int | None:
        """The step before which a run can be made longer; None when its rates depend on its length."""

    def rate(self, step: int) -> float:
        """Learning rate of a step, relative to the full one."""


class Task(Protocol[Network, Batch]):
    """What is trained, and on what: everything that differs between trainings."""

    network: Network
    """On its device, with the weights it begins with."""
    architecture: str
    """The entry of the settings that describes the network: a run cannot be resumed with another one."""
    updates: int
    """Updates made with a batch."""
    processes: Processes
    """Those that share every batch."""

    @property
    def plan(self) -> Plan:
        """The recipe."""

    def settings(self) -> dict[str, Any]:
        """All that decides what is learned, as plain values; saved in every checkpoint."""

    def load(self) -> Sequence[str]:
        """Read the training data; called once, after all checks.

        Returns a line for everything that was left out.
        """

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """For the weights that are trained."""

    def draw(self, step: int, generator: torch.Generator) -> Batch:
        """The batch of a step: this process's share of it."""

    def split(self, batch: Batch) -> Sequence[Batch]:
        """A batch in equal parts, whose gradients are added one after the other to save memory."""

    def describe(self, batch: Batch) -> str:
        """Description of a batch, for messages."""

    def compare(self, batch: Batch, generator: torch.Generator) -> Terms:
        """Run the network on a batch, and return the terms of its loss."""


class Watcher(Protocol):
    """Follows a run from outside. Nothing it does changes what is learned."""

    def began(self, average: nn.Module, step: int, seconds: float) -> None:
        """The weights are loaded; the clock does not run yet."""

    def logged(self, record: Mapping[str, float]) -> None:
        """A line of the log."""

    def paused(self, average: nn.Module, step: int, seconds: float) -> None:
        """After a line of the log, except while annealing: the average can be evaluated."""

    def ended(self, average: nn.Module, step: int, seconds: float) -> None:
        """Everything is saved, also after the first signal."""

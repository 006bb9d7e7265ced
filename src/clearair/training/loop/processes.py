"""Several processes that train one network together: the leader, and their communication.

Each learns from its share of every batch; gradients are averaged, so that all make the same step. Only the
leader writes, validates and reports.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from clearair.errors import ConfigError, TrainingError

Value = TypeVar("Value")

PATIENCE = timedelta(hours=2)
"""How long the others wait for the leader, which alone validates and saves."""


@dataclass(frozen=True)
class Processes:
    """This process within its group; a single process communicates nothing."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this one writes, validates and reports."""
        return self.rank == 0

    def share(self, whole: int) -> slice:
        """This process's share of a total. Raises ConfigError when it cannot be shared evenly."""
        if whole % self.count:
            raise ConfigError(f"{whole} cannot be shared evenly among {self.count} processes.")
        size = whole // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each by its mean over the processes, all in one message."""
        if self.count == 1:
            return
        message = torch.cat([tensor.flatten() for tensor in tensors])
        with _others_may_end():
            dist.all_reduce(message)
        message /= self.count
        parts = torch.split(message, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def largest(self, *values: float) -> list[float]:
        """The maximum of each over the processes, so that all decide alike."""
        if self.count == 1:
            return list(values)
        message = torch.tensor(values, dtype=torch.float64)
        with _others_may_end():
            dist.all_reduce(message, dist.ReduceOp.MAX)
        return list(map(float, message))

    def alike(self, value: float) -> bool:
        """Whether all have this value."""
        largest, smallest = self.largest(value, -value)
        return largest == -smallest

    def gathered(self, value: Value) -> list[Value]:
        """The values of all processes, in the order of the ranks."""
        if self.count == 1:
            return [value]
        everybody: list[Value] = [value] * self.count
        with _others_may_end():
            dist.all_gather_object(everybody, value)
        return everybody

    def leaders(self, value: Value) -> Value:
        """The leader's value; what the others give is ignored."""
        if self.count == 1:
            return value
        message = [value]
        with _others_may_end():
            dist.broadcast_object_list(message, src=0)
        return message[0]

    def check_alike(self, network: nn.Module) -> None:
        """Raises TrainingError when the processes hold different weights, or averaging means nothing."""
        if self.count == 1:
            return
        sums = [weight.detach().double().sum() for weight in network.state_dict().values()]
        if not self.alike(float(torch.stack(sums).sum())):
            raise TrainingError("The processes hold different weights; is their software the same?")


ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[tuple[Processes, str]]:
    """For a `with` block: the processes that `torchrun` has started, and this one's device.

    Without torchrun this process is alone, and the device as it was.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield ALONE, device
        return
    backend = "gloo"
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"  # clocks and messages need not wait for the GPUs
    with _others_may_end():
        dist.init_process_group(backend, timeout=PATIENCE)
    yield Processes(dist.get_rank(), dist.get_world_size()), device
    dist.barrier()  # the first process to leave would close the others' connections
    dist.destroy_process_group()  # after an error the others may be waiting, and this process would wait, too


@contextmanager
def _others_may_end() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        said = str(error).strip().splitlines()[0]
        raise TrainingError(
            f"Another process cannot be reached any more; see its output. ({said})"
        ) from error

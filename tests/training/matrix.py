"""The smallest thing that can be trained: one matrix."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from clearair.training.loop.processes import ALONE
from clearair.training.loop.schedule import warmup_stay_decay
from clearair.training.loop.task import Terms


@dataclass(frozen=True)
class Plan:
    steps: int = 12
    decay_steps: int = 4
    seed: int = 0
    learning_rate: float = 0.1
    clip: float = 1.0
    ema: float = 0.9
    matrix: dict[str, int] = field(default_factory=lambda: {"side": 4})

    @property
    def decay_start(self) -> int:
        return self.steps - self.decay_steps

    def rate(self, step: int) -> float:
        return warmup_stay_decay(step, self.steps, 2, self.decay_start)


class MatrixTask:
    """Learn to turn vectors by 180 degrees."""

    architecture = "matrix"
    updates = 2
    processes = ALONE

    def __init__(self, plan: Plan | None = None, broken_at: Container[int] = ()) -> None:
        self.plan = plan or Plan()
        self.broken_at = broken_at
        torch.manual_seed(self.plan.seed)
        side = self.plan.matrix["side"]
        self.network = nn.Linear(side, side)
        self.drawn: list[int] = []

    def settings(self) -> dict:
        return asdict(self.plan)

    def load(self) -> tuple[str, ...]:
        return ()

    def split(self, batch: Tensor) -> list[Tensor]:
        return [batch]

    def describe(self, batch: Tensor) -> str:
        return f"{len(batch)} vectors"

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(self.network.parameters(), lr=self.plan.learning_rate)]

    def draw(self, step: int, generator: torch.Generator) -> Tensor:
        self.drawn.append(step)
        vectors = torch.randn(8, self.plan.matrix["side"], generator=generator)
        return vectors * float("nan") if step in self.broken_at else vectors

    def compare(self, batch: Tensor, generator: torch.Generator) -> Terms:
        noise = 0.01 * torch.randn(batch.shape, generator=generator)
        return Terms({"error": (self.network(batch) + batch + noise).square().mean()}, {"seen": batch.mean()})

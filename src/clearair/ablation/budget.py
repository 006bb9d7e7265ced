"""The budget of every variant of an ablation, in steps or minutes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

from clearair.errors import UsageError
from clearair.training.restorer.recipe import Recipe

ANNEALED = 1 / 3
"""Share of a budget over which the learning rate falls to zero."""
WARMUP = 20
"""Steps in which it rises, at most a tenth of them all."""
ENDLESS = 100_000_000
"""Steps of a run that ends by the clock."""


@dataclass(frozen=True)
class Budget:
    """The same for every variant and seed."""

    amount: float
    unit: Literal["steps", "minutes"]

    def __post_init__(self) -> None:
        whole = self.unit == "minutes" or (self.amount == int(self.amount))
        if not math.isfinite(self.amount) or self.amount <= 0 or not whole:
            raise UsageError(f"A budget is a positive number of {self.unit}, got {self.amount:g}.")

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit}"

    @property
    def minutes(self) -> float | None:
        """None for a budget of steps."""
        return self.amount if self.unit == "minutes" else None

    def shorten(self, recipe: Recipe) -> Recipe:
        """The recipe with the schedule of a run of this length."""
        if self.unit == "minutes":
            return replace(recipe, steps=ENDLESS, decay_steps=0, warmup=min(WARMUP, recipe.warmup))
        steps = int(self.amount)
        return replace(
            recipe,
            steps=steps,
            decay_steps=round(ANNEALED * steps),
            warmup=min(WARMUP, recipe.warmup, steps // 10),
        )


def read_budget(text: str) -> Budget:
    """From "200steps" or "30min". Raises UsageError for anything else."""
    match = re.fullmatch(r"([0-9.]+) *(step|steps|min|minute|minutes)", text.strip())
    try:
        amount = float(match[1]) if match else None
    except ValueError:
        amount = None
    if match is None or amount is None:
        raise UsageError(f"--budget {text}: expected a number and a unit, such as 200steps or 30min.")
    return Budget(amount, "steps" if match[2].startswith("s") else "minutes")

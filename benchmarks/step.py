"""Where the time of a training step goes, and how much faster it is than the plain loop.

    python benchmarks/step.py --data ../shared/data

On one core. Draw, perceive, forward, backward and optimiser of a recipe's step, one after the other; then
images a second against the same step as the textbook writes it: eager, float32, one matrix at a time through
Muon's iteration, the usual memory layout. The two take turns, so that a busy machine slows both alike.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clearair.data.pairs import generator_for
from clearair.network import Guidance
from clearair.perception import load_compact
from clearair.training.average import update_average
from clearair.training.optimizer import make_optimizers
from clearair.training.overrides import override
from clearair.training.recipe import Recipe, get_recipe
from clearair.training.restoration import RestorerTask

PARTS = ("draw", "perceive", "forward", "backward", "optimiser")


class Watch:
    """Adds up seconds by part."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """For a `with` block; what is inside another one counts for the inner one alone."""
        began, inner = time.perf_counter(), sum(self.seconds.values())
        yield
        self.seconds[name] += time.perf_counter() - began - (sum(self.seconds.values()) - inner)


class TimedPerceiver:
    """A perceiver whose look counts as `perceive`; in float32 when plain."""

    def __init__(self, perceiver: Any, watch: Watch, plain: bool) -> None:
        self.perceiver, self.watch, self.plain = perceiver, watch, plain
        self.identity = perceiver.identity

    def to(self, device: Any) -> TimedPerceiver:
        """Stay on the processor."""
        return self

    def perceive(self, images: Tensor) -> Guidance:
        """(B, 3, H, W) in [0, 1] -> what the network is told."""
        with self.watch.part("perceive"), torch.autocast("cpu", torch.bfloat16, enabled=not self.plain):
            return self.perceiver.perceive(images)


class PlainMuon(torch.optim.Optimizer):
    """Muon as its authors' short version has it: float32 here, one matrix after the other."""

    def __init__(self, weights: list[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights that have a gradient."""
        for group in self.param_groups:
            for weight in (weight for weight in group["params"] if weight.grad is not None):
                state = self.state[weight]
                momentum = state.setdefault("momentum", torch.zeros_like(weight))
                momentum.mul_(0.95).add_(weight.grad, alpha=0.05)
                update = (weight.grad * 0.05 + momentum * 0.95).flatten(1)
                tall = update.shape[0] > update.shape[1]
                wide = update.T if tall else update
                wide = wide / (wide.norm() + 1e-7)
                for _ in range(5):
                    square = wide @ wide.T
                    wide = 3.4445 * wide + (-4.7750 * square + 2.0315 * square @ square) @ wide
                update = (wide.T if tall else wide) * 0.2 * math.sqrt(max(update.shape))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(update.reshape(weight.shape), alpha=group["lr"])


class Contender:
    """One way of making steps."""

    def __init__(self, recipe: Recipe, data: Path, plain: bool) -> None:
        self.watch = Watch()
        self.task = RestorerTask(
            recipe,
            data,
            perceiver=TimedPerceiver(load_compact(), self.watch, plain),  # type: ignore[arg-type]
        )
        self.average = RestorerTask(recipe, data).network.requires_grad_(False)
        network = self.task.network
        if plain:
            network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            for name in ("judge", "restore"):
                setattr(network, name, _in_float32(getattr(network, name)))
        self.optimizers = make_optimizers(network, recipe.learning_rate, recipe.weight_decay)
        if plain:
            group = self.optimizers[0].param_groups[0]
            self.optimizers[0] = PlainMuon(group["params"], group["lr"], group["weight_decay"])

    def step(self, number: int) -> float:
        """Make one step; returns its seconds."""
        began = time.perf_counter()
        generator = generator_for(self.task.plan.seed, number)
        with self.watch.part("draw"):
            batch = self.task.draw(number, generator)
        with self.watch.part("forward"):
            terms = self.task.compare(batch, generator)
            loss = torch.stack(list(terms.minimised.values())).sum()
        with self.watch.part("backward"):
            for optimizer in self.optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
        with self.watch.part("optimiser"):
            nn.utils.clip_grad_norm_(self.task.network.parameters(), self.task.plan.clip)
            for optimizer in self.optimizers:
                optimizer.step()
            update_average(self.average, self.task.network, 0.99)
        return time.perf_counter() - began


def _in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **options: Any) -> Any:
        with torch.autocast("cpu", enabled=False):
            plain = [a.contiguous() if isinstance(a, Tensor) else a for a in arguments]
            return function(*plain, **options)

    return wrapped


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("fields", nargs="*", metavar="FIELD=VALUE", help="changes of the recipe")
    parser.add_argument("--recipe", default="compact")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds train/")
    parser.add_argument("--steps", type=int, default=8, help="steps of each that are timed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    recipe = override(get_recipe(options.recipe), options.fields)
    ours, plain = (Contender(recipe, options.data, plain) for plain in (False, True))
    ours.task.load()
    plain.task.photos = ours.task.photos
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    for number in range(options.steps + 2):
        if number == 2:  # the first two steps make buffers
            for contender in (ours, plain):
                contender.watch.seconds.update(dict.fromkeys(PARTS, 0.0))
            times = {"ours": [], "plain": []}
        times["ours"].append(ours.step(number))
        times["plain"].append(plain.step(number))
    print(
        f"{recipe.name}: {recipe.batch} x {recipe.patch}, view {recipe.view}; {options.steps} steps, one core"
    )
    print(f"| loop | {' | '.join(PARTS)} | seconds a step | images a second |\n|{'---|' * 8}")
    for name, contender in (("ours", ours), ("plain", plain)):
        seconds = contender.watch.seconds
        whole = sum(seconds.values())
        shares = " | ".join(f"{100 * seconds[part] / whole:.1f} %" for part in PARTS)
        middle = statistics.median(times[name])
        print(f"| {name} | {shares} | {middle:.2f} | {recipe.batch / middle:.2f} |")
    ratios = [slow / fast for slow, fast in zip(times["plain"], times["ours"], strict=True)]
    print(f"ours is {statistics.median(ratios):.2f} times as fast (median over pairs of steps)")


if __name__ == "__main__":
    main()

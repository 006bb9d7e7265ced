"""Where the time of a training step goes, and how much faster it is than the plain loop.

    python benchmarks/step.py --data ../shared/data

For `compact` at its own settings and for `base` with windows that a processor can bear. Draw, perceive,
forward, backward, optimiser and average of a step, one after the other; then images a second against the same
step as the textbook writes it: eager, float32, one matrix at a time through Muon's iteration, one tensor at a
time through AdamW, the usual memory layout. The two take turns. On one CPU core only the CPU time of this
thread counts, so that a busy machine matters little; on a GPU, the time until it is done.

The last line compares with what a large matrix product in the same precision reaches: operations are those
counted in the matrix products and convolutions of a step.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from command_line import parser_of
from markdown_tables import print_head
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from clearair.data.pairs import generator_for
from clearair.network import Guidance
from clearair.network.compiling import compile_parts
from clearair.perception import load_compact
from clearair.runtime.precision import learning_in, learning_type
from clearair.training.loop.average import update_average
from clearair.training.loop.optimizer import Muon, make_optimizers
from clearair.training.loop.trainer import Machine
from clearair.training.recipes import read_restorer
from clearair.training.restorer.recipe import Recipe
from clearair.training.restorer.task import RestorerTask

PARTS = ("draw", "perceive", "forward", "backward", "optimiser", "average")
SMALL = {"compact": [], "base": ["batch=1", "patch=128", "view=128"]}
"""Recipes that are timed by default, and what of them is changed."""


class Watch:
    """Adds up seconds by part."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds = dict.fromkeys(PARTS, 0.0)

    def now(self) -> float:
        """Seconds of this thread, or on a card by the clock once all that was asked for is done."""
        if self.device == "cpu":
            return time.thread_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """For a `with` block; what is inside another one counts for the inner one alone."""
        began, inner = self.now(), sum(self.seconds.values())
        yield
        self.seconds[name] += self.now() - began - (sum(self.seconds.values()) - inner)


class TimedPerceiver:
    """A perceiver whose look counts as `perceive`; in float32 when plain."""

    def __init__(self, perceiver: Any, watch: Watch, plain: bool) -> None:
        self.perceiver, self.watch, self.plain = perceiver, watch, plain
        self.identity = perceiver.identity

    def to(self, device: Any) -> TimedPerceiver:
        """Move to a device."""
        self.perceiver.to(device)
        return self

    def perceive(self, images: Tensor) -> Guidance:
        """(B, 3, H, W) in [0, 1] -> guidance for the network."""
        autocast = nullcontext() if self.plain else learning_in(images.device)
        with self.watch.part("perceive"), autocast:
            guidance: Guidance = self.perceiver.perceive(images)
            return guidance


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

    def __init__(self, recipe: Recipe, data: Path, device: str, *, plain: bool, photos: Any = None) -> None:
        self.watch = Watch(device)
        seen = TimedPerceiver(load_compact(), self.watch, plain)
        self.task = RestorerTask(recipe, data, perceiver=seen, device=device)  # type: ignore[arg-type]
        self.average = RestorerTask(recipe, data, device=device).network.requires_grad_(False)
        if photos is None:
            self.task.load()
        else:
            self.task.photos = photos
        network = self.task.network
        if plain:
            network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            for name in ("judge", "restore"):
                setattr(network, name, _in_float32(getattr(network, name)))
        self.optimizers = make_optimizers(network, recipe.learning_rate, recipe.weight_decay)
        if plain:
            self.optimizers = [_textbook(optimizer) for optimizer in self.optimizers]

    def step(self, number: int) -> float:
        """Make one step; returns its seconds."""
        before = sum(self.watch.seconds.values())
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
        with self.watch.part("average"):
            update_average(self.average, self.task.network, 0.99)
        return sum(self.watch.seconds.values()) - before


def _textbook(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    (group,) = optimizer.param_groups
    if isinstance(optimizer, Muon):
        return PlainMuon(group["params"], group["lr"], group["weight_decay"])
    return torch.optim.AdamW(
        group["params"], lr=group["lr"], weight_decay=0.0, betas=group["betas"], foreach=False
    )


def _in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **options: Any) -> Any:
        with torch.autocast("cuda" if torch.cuda.is_available() else "cpu", enabled=False):
            plain = [a.contiguous() if isinstance(a, Tensor) else a for a in arguments]
            return function(*plain, **options)

    return wrapped


def matrix_rate(device: str) -> float:
    """Operations a second of a large matrix product in the precision of training, the best of five."""
    watch, side = Watch(device), 1024 if device == "cpu" else 8192
    one = torch.randn(side, side, device=device, dtype=learning_type(torch.device(device)))
    seconds = []
    for _ in range(5):
        began = watch.now()
        one @ one
        seconds.append(watch.now() - began)
    return 2 * side**3 / min(seconds)


def count_operations(contender: Contender) -> int:
    """Those of a step, in matrix products and convolutions.

    Backward counts twice forward: PyTorch's counter takes its depthwise convolutions for dense ones.
    """
    generator = generator_for(contender.task.plan.seed, 0)
    with FlopCounterMode(display=False) as seen:
        batch = contender.task.draw(0, generator)
    with FlopCounterMode(display=False) as forward:
        terms = contender.task.compare(batch, generator)
    torch.stack(list(terms.minimised.values())).sum().backward()
    with FlopCounterMode(display=False) as stepped:
        for optimizer in contender.optimizers:
            optimizer.step()
    return seen.get_total_flops() + 3 * forward.get_total_flops() + stepped.get_total_flops()


def measure(recipe: Recipe, options: argparse.Namespace) -> None:
    """Run both in turns, and print the results."""
    device = options.device
    ours = Contender(recipe, options.data, device, plain=False)
    plain = Contender(recipe, options.data, device, plain=True, photos=ours.task.photos)
    operations = count_operations(ours)
    for contender in (ours, plain):
        contender.step(0)  # the first steps make buffers
    if options.compile:
        began = time.perf_counter()
        compile_parts(ours.task.network)
        ours.step(1)
        print(f"compiled in {time.perf_counter() - began:.0f} s")
    for contender in (ours, plain):
        contender.step(1)
        contender.watch.seconds.update(dict.fromkeys(PARTS, 0.0))
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    for number in range(2, 2 + options.steps):
        times["ours"].append(ours.step(number))
        times["plain"].append(plain.step(number))
    images = recipe.batch * recipe.windows
    windows = "" if recipe.windows == 1 else f", {recipe.windows} windows of each"
    print(f"\n{recipe.name}: {images} x {recipe.patch}, view {recipe.view}{windows}; {options.steps} steps")
    columns = (*PARTS, "forward + backward", "seconds a step", "images a second")
    print_head("loop", *columns)
    for name, contender in (("ours", ours), ("plain", plain)):
        seconds = contender.watch.seconds
        whole = sum(seconds.values())
        learning = seconds["forward"] + seconds["backward"]
        shares = [f"{100 * part / whole:.1f} %" for part in (*(seconds[part] for part in PARTS), learning)]
        middle = statistics.median(times[name])
        print(f"| {name} | {' | '.join(shares)} | {middle:.3f} | {images / middle:.2f} |")
    ratios = [slow / fast for slow, fast in zip(times["plain"], times["ours"], strict=True)]
    print(f"ours is {statistics.median(ratios):.2f} times as fast (median over pairs of steps)")
    rate, best = operations / statistics.median(times["ours"]), matrix_rate(device)
    share = f"{100 * rate / best:.0f} % of a matrix product's {best / 1e12:.3f} T"
    print(f"{operations / 1e9:.0f} G operations a step: {rate / 1e12:.3f} T a second, {share}")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("fields", nargs="*", metavar="FIELD=VALUE", help="changes of the recipe")
    parser.add_argument("--recipe", help="this one alone, instead of compact and a small base")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds train/")
    parser.add_argument("--steps", type=int, default=8, help="steps of each that are timed")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--compile", action="store_true", help="compile the parts of ours")
    options = parser.parse_args()
    Machine(options.device).prepare(threads=1 if options.device == "cpu" else None)
    if options.device == "cpu" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    chosen = {options.recipe: []} if options.recipe else SMALL
    for name, changes in chosen.items():
        measure(read_restorer(name, [*changes, *options.fields]), options)


if __name__ == "__main__":
    main()

"""Race variants of a recipe at equal minutes, and print what each reaches on validation pictures by kind.

    python benchmarks/race.py --data ../shared/data --minutes 10 base no_tone

A variant is a function of this file that takes the recipe and returns another. Each starts anew, trains on
one core for so many minutes (the learning rate falls to zero over the last third), and is measured with its
averaged weights. Several can run beside each other, one a core, with --jobs.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from clearair.data.pairs import generator_for
from clearair.data.photos import load_training_photos
from clearair.data.validation import validation_sets
from clearair.evaluation.validation import mean_score, validate
from clearair.network import ClearAIR
from clearair.perception import load_compact
from clearair.training.loop import _initialise as initialise
from clearair.training.loop import draw_patches, train_step, update_average
from clearair.training.optimizer import make_optimizers
from clearair.training.recipe import Recipe, compact

ANNEALED = 1 / 3
"""Share of the time over which the learning rate falls."""


def base(recipe: Recipe) -> Recipe:
    """16 patches of 64 pixels from views of 160."""
    return replace(recipe, batch=16, patch=64, view=160, ema=0.99)


def no_tone(recipe: Recipe) -> Recipe:
    return replace(base(recipe), network=replace(recipe.network, tone=False))


def zeros(recipe: Recipe) -> Recipe:
    return replace(base(recipe), network=replace(recipe.network, padding="zeros"))


def tone_first(recipe: Recipe) -> Recipe:
    return replace(base(recipe), tone_weight=2.0)


VARIANTS: dict[str, Callable[[Recipe], Recipe]] = {
    variant.__name__: variant for variant in (base, no_tone, zeros, tone_first)
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("variants", nargs="+", choices=list(VARIANTS))
    parser.add_argument("--data", type=Path, required=True, help="folder that holds train/")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--jobs", type=int, default=1, help="variants trained at a time, one core each")
    parser.add_argument("--views", type=int, default=12, help="validation views of each kind")
    parser.add_argument("--out", type=Path, help="folder for the weights and results of each")
    options = parser.parse_args()
    work = [(name, options.data, options.minutes, options.views, options.out) for name in options.variants]
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=1) as pool:
        rows = pool.starmap(race, work, chunksize=1)
    kinds = list(rows[0][1])
    print(f"| variant | steps | {' | '.join(kinds)} |\n|{'---|' * (len(kinds) + 2)}")
    for name, (steps, scores) in zip(options.variants, rows, strict=True):
        print(f"| {name} | {steps} | {' | '.join(f'{scores[kind]:.2f}' for kind in kinds)} |")


def race(name: str, data: Path, minutes: float, views: int, out: Path | None) -> tuple[int, dict[str, float]]:
    """Train one variant; returns its steps, and PSNR in dB by kind, the mean first."""
    torch.set_num_threads(1)
    recipe = VARIANTS[name](compact())
    torch.manual_seed(recipe.seed)
    network = ClearAIR(recipe.network)
    initialise(network)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).requires_grad_(False)
    optimizers = make_optimizers(network, recipe.learning_rate, recipe.weight_decay)
    photos, perceiver = load_training_photos(data), load_compact()
    step, began = 0, time.monotonic()
    while (share := (time.monotonic() - began) / (60 * minutes)) < 1:
        generator = generator_for(recipe.seed, step)
        patches = draw_patches(recipe, photos, perceiver, step, generator)
        falling = min(1.0, max(0.0, (1 - share) / ANNEALED))
        rate = recipe.learning_rate * min(1.0, (step + 1) / recipe.warmup) * falling
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = rate
        terms = train_step(network, patches, optimizers, recipe, generator)
        step += 1
        update_average(average, network, min(recipe.ema, step / (step + 10)))
        if step % 50 == 0:
            told = "  ".join(f"{term} {float(value):.4f}" for term, value in terms.items())
            print(f"{name} {step} {share:.0%} {told}", flush=True)
    scores = validate(average.eval(), perceiver, validation_sets(data, views=views))
    table = {"mean": mean_score(scores).psnr} | {kind: score.psnr for kind, score in scores.items()}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        torch.save(average.state_dict(), out / f"{name}.pt")
        (out / f"{name}.json").write_text(json.dumps({"steps": step, "minutes": minutes, "psnr": table}))
    return step, table


if __name__ == "__main__":
    main()

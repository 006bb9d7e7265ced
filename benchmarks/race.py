"""Race variants of a recipe at equal minutes, and print what each reaches on validation pictures by kind.

    python benchmarks/race.py --data ../shared/data --minutes 10 as_it_is no_tone

A variant is a function of this file that takes the recipe and returns another. Each starts anew, trains on
one core for so many minutes (the learning rate falls to zero over the last third), and is measured with its
averaged weights. Several can run beside each other, one a core, with --jobs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from clearair.data.validation import validation_sets
from clearair.evaluation.validation import mean_score, validate
from clearair.training.loop import run
from clearair.training.recipe import Recipe, compact
from clearair.training.restoration import RestorerTask

ANNEALED = 1 / 3
"""Share of the time over which the learning rate falls."""


def as_it_is(recipe: Recipe) -> Recipe:
    """The recipe, with an average short enough for a short run."""
    return replace(recipe, ema=0.98)


def no_tone(recipe: Recipe) -> Recipe:
    """The detail network draws haze and darkness by itself."""
    return replace(as_it_is(recipe), network=replace(recipe.network, tone=False))


def no_icrm(recipe: Recipe) -> Recipe:
    """L1 alone."""
    return replace(as_it_is(recipe), clue_reuse="off")


VARIANTS: dict[str, Callable[[Recipe], Recipe]] = {
    variant.__name__: variant for variant in (as_it_is, no_tone, no_icrm)
}
"""By name. A question that has been answered goes to docs/training-log.md and leaves."""


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
    task = RestorerTask(VARIANTS[name](compact()), data)
    with tempfile.TemporaryDirectory() as folder:
        average = run(
            task,
            Path(folder) if out is None else out / name,
            max_minutes=minutes,
            anneal_minutes=ANNEALED * minutes,
            report=lambda line: print(name, line, flush=True),
        )
        log = (Path(folder) if out is None else out / name) / "log.jsonl"
        steps = int(json.loads(log.read_text().splitlines()[-1])["step"])
    assert task.perceiver is not None
    scores = validate(average, task.perceiver, validation_sets(data, views=views))
    return steps, {"mean": mean_score(scores).psnr} | {kind: score.psnr for kind, score in scores.items()}


if __name__ == "__main__":
    main()

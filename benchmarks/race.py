"""Race variants of a recipe, and print what each reaches on validation pictures by kind.

    python benchmarks/race.py --data ../shared/data --minutes 10 as_it_is no_tone

A variant is a function of this file that takes the recipe and returns another. Each trains on one core for
equal minutes, or equal steps where the machine is busy; over the last third the learning rate falls to zero.
It is measured with its averaged weights. All start anew, or from one checkpoint or model.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from clearair.data.validation import validation_sets
from clearair.evaluation.validation import mean_score, validate
from clearair.training.loop import run
from clearair.training.recipe import Recipe, Stage, compact
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


def strong_icrm(recipe: Recipe) -> Recipe:
    """The anchored form, weighted to pull about a tenth as hard as L1."""
    return replace(as_it_is(recipe), alpha=75.0)


def strong_paper_icrm(recipe: Recipe) -> Recipe:
    """The paper's form at the same weight."""
    return replace(as_it_is(recipe), clue_reuse="paper", alpha=75.0)


def fft(recipe: Recipe) -> Recipe:
    """Also compare spectra."""
    return replace(as_it_is(recipe), fft=0.1)


def strong_fft(recipe: Recipe) -> Recipe:
    """The same, as hard as L1."""
    return replace(as_it_is(recipe), fft=1.0)


def patch_96(recipe: Recipe) -> Recipe:
    """Larger windows, about as many pixels a step."""
    return replace(as_it_is(recipe), batch=8, patch=96, view=192)


def progressive(recipe: Recipe) -> Recipe:
    """Small windows first, larger ones after a while, which is the first half of a race by steps."""
    start = min(600, max(1, recipe.steps // 2))
    return replace(as_it_is(recipe), stages=(Stage(start, batch=8, patch=96, view=192),))


VARIANTS: dict[str, Callable[[Recipe], Recipe]] = {
    variant.__name__: variant
    for variant in (
        as_it_is,
        no_tone,
        no_icrm,
        strong_icrm,
        strong_paper_icrm,
        fft,
        strong_fft,
        patch_96,
        progressive,
    )
}
"""By name. A question that has been answered goes to docs/training-log.md and leaves."""


@dataclass(frozen=True)
class Entry:
    """One variant and how it is trained and measured."""

    variant: str
    data: Path
    minutes: float
    steps: int | None
    start: str | None
    views: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("variants", nargs="+", choices=list(VARIANTS))
    parser.add_argument("--data", type=Path, required=True, help="folder that holds train/")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--steps", type=int, help="steps of each instead of minutes")
    parser.add_argument("--start", help="what all start from: a checkpoint, or a model such as compact")
    parser.add_argument("--jobs", type=int, default=1, help="variants trained at a time, one core each")
    parser.add_argument("--views", type=int, default=12, help="validation views of each kind")
    options = parser.parse_args()
    entries = [
        Entry(name, options.data, options.minutes, options.steps, options.start, options.views)
        for name in options.variants
    ]
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=1) as pool:
        rows = pool.map(race, entries, chunksize=1)
    kinds = list(rows[0][1])
    print(f"| variant | steps | {' | '.join(kinds)} |\n|{'---|' * (len(kinds) + 2)}")
    for name, (steps, scores) in zip(options.variants, rows, strict=True):
        print(f"| {name} | {steps} | {' | '.join(f'{scores[kind]:.2f}' for kind in kinds)} |")


def race(entry: Entry) -> tuple[int, dict[str, float]]:
    """Train one variant; returns its steps, and PSNR in dB by kind, the mean first."""
    torch.set_num_threads(1)
    recipe = compact()
    minutes: float | None = entry.minutes
    if entry.steps:
        minutes = None
        recipe = replace(recipe, steps=entry.steps, decay_steps=round(ANNEALED * entry.steps), warmup=20)
    recipe = VARIANTS[entry.variant](recipe)
    task = RestorerTask(recipe, entry.data)
    with tempfile.TemporaryDirectory() as folder:
        average = run(
            task,
            Path(folder),
            start=entry.start,
            max_minutes=minutes,
            anneal_minutes=0 if minutes is None else ANNEALED * minutes,
            report=lambda line: print(entry.variant, line, flush=True),
        )
        log = (Path(folder) / "log.jsonl").read_text().splitlines()
    assert task.perceiver is not None
    scores = validate(average, task.perceiver, validation_sets(entry.data, views=entry.views))
    table = {"mean": mean_score(scores).psnr} | {kind: score.psnr for kind, score in scores.items()}
    return int(json.loads(log[-1])["step"]), table


if __name__ == "__main__":
    main()

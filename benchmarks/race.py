"""Race variants of a recipe, and print what each reaches on validation pictures by kind.

    python benchmarks/race.py --data ../shared/data --budget 10min --out scratch/race as_it_is no_tone

A variant is a function of this file that takes the recipe and returns another. `clearair ablate` does the
same for permanent questions; the ones here are temporary. The first variant is the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from command_line import parser_of

from clearair.ablation.budget import read_budget
from clearair.ablation.runs import Ablation, Bench, run_ablation
from clearair.ablation.table import grid
from clearair.training.loop.trainer import Machine
from clearair.training.restorer.recipe import Recipe, Stage
from clearair.training.restorer.recipes import compact
from clearair.training.restorer.variants import Family


def as_it_is(recipe: Recipe) -> Recipe:
    """The recipe, with an average short enough for a short run."""
    return replace(recipe, ema=0.98)


def no_tone(recipe: Recipe) -> Recipe:
    """The detail network draws haze and darkness by itself."""
    return replace(as_it_is(recipe), network=replace(recipe.network, tone=False))


def no_fft(recipe: Recipe) -> Recipe:
    """Compare pixels alone, no spectra."""
    return replace(as_it_is(recipe), fft=0.0)


def strong_fft(recipe: Recipe) -> Recipe:
    """Spectra pull as hard as L1."""
    return replace(as_it_is(recipe), fft=1.0)


def patch_96(recipe: Recipe) -> Recipe:
    """Larger windows, about as many pixels a step."""
    return replace(as_it_is(recipe), batch=8, patch=96, view=192)


def even_shares(recipe: Recipe) -> Recipe:
    """Every kind of damage as often as the others."""
    single = recipe.mix.single
    even = dict.fromkeys(single, sum(single.values()) / len(single))
    return replace(as_it_is(recipe), mix=replace(recipe.mix, single=even))


def more_mixtures(recipe: Recipe) -> Recipe:
    """Twice as many pictures with several kinds of damage."""
    return replace(as_it_is(recipe), mix=replace(recipe.mix, mixture=2 * recipe.mix.mixture))


def two_windows(recipe: Recipe) -> Recipe:
    """As many windows a step, two of each view: half of the drawing and perceiving."""
    return replace(as_it_is(recipe), batch=recipe.batch // 2, windows=2)


def progressive(recipe: Recipe) -> Recipe:
    """Small windows first, larger ones from about the middle of ten minutes on, or of a race by steps."""
    start = min(130, max(1, recipe.steps // 2))
    return replace(as_it_is(recipe), stages=(Stage(start, batch=8, patch=96, view=192),))


VARIANTS: dict[str, Callable[[Recipe], Recipe]] = {
    variant.__name__: variant
    for variant in (
        as_it_is,
        no_tone,
        even_shares,
        more_mixtures,
        no_fft,
        strong_fft,
        patch_96,
        two_windows,
        progressive,
    )
}
"""By name. A question that has been answered goes to docs/history/training-log.md and leaves."""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("variants", nargs="+", choices=list(VARIANTS))
    parser.add_argument("--data", type=Path, required=True, help="folder that holds train/")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the runs; an existing one is resumed"
    )
    parser.add_argument("--budget", default="10min", help="of each, such as 10min or 200steps")
    parser.add_argument("--start", help="what all start from: a checkpoint, or a model such as compact")
    parser.add_argument("--views", type=int, default=12, help="validation views of each kind")
    options = parser.parse_args()
    Machine().prepare(threads=1)

    def raced(recipe: Recipe) -> dict[str, Recipe]:
        return {name: VARIANTS[name](recipe) for name in options.variants}

    ablation = Ablation(
        Family("variant", options.variants[0], raced),
        compact(),
        read_budget(options.budget),
        views=options.views,
        start=options.start,
    )
    results = list(run_ablation(ablation, options.out, Bench(options.data)))
    print(grid("race", ablation, results).markdown())


if __name__ == "__main__":
    main()

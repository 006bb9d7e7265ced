"""`clearair train`: run a recipe, resume it, or anneal it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearair.apps.cli.lines import say_notice
from clearair.apps.cli.options import (
    FiniteRange,
    LocalPath,
    chosen_batch_perceiver,
    name_and_changes,
    perceiver_options,
    require_data,
    training_device_option,
)

if TYPE_CHECKING:
    from clearair.training.loop.processes import Processes
    from clearair.training.loop.trainer import Setup
    from clearair.training.recipes import AnyRecipe
    from clearair.training.series.series import Series


@dataclass(frozen=True)
class Options:
    """The options of a run, besides its recipe."""

    data: Path | None
    pairs: tuple[Path, Path] | None
    out: Path | None
    max_minutes: float | None
    anneal_minutes: float
    resume: bool
    change: bool
    start: str | None
    device: str
    compiled: bool | None
    threads: int | None
    views: int
    validate_minutes: float | None
    validate_start: bool
    worth: bool
    save: Path | None
    save_if_better: bool
    overwrite: bool

    def __post_init__(self) -> None:
        """Raises UsageError for a missing option, DataError for a missing data folder."""
        if self.data is None or self.out is None:
            raise click.UsageError(f"Missing option '{'--data' if self.data is None else '--out'}'.")
        require_data(self.data)
        if self.save_if_better and (self.save is None or not self.views):
            raise click.UsageError("--save-if-better compares restorers: it needs --save and some --views.")
        if self.worth and not self.views:
            raise click.UsageError("--worth is measured on held-out views: it needs some --views.")
        if self.anneal_minutes > (self.max_minutes or math.inf):
            raise click.UsageError("--anneal-minutes is a part of --max-minutes, so it cannot be longer.")


@click.command()
@click.argument("words", nargs=-1, metavar="RECIPE|FILE.toml [FIELD=VALUE]...")
@click.option("--list", "listed", is_flag=True, help="Show the recipes, and exit.")
@click.option("--show", is_flag=True, help="Print the whole recipe as a TOML file to change, and exit.")
@click.option("--set", "fields", multiple=True, metavar="FIELD=VALUE", hidden=True)
@click.option("--steps", type=click.IntRange(1), help="The same as steps=N: length of the run.")
@click.option("--data", type=LocalPath(path_type=Path), help="Data folder.")
@click.option(
    "--pairs",
    nargs=2,
    type=LocalPath(path_type=Path, file_okay=False, exists=True),
    metavar="INPUTS TARGETS",
    help="Two folders of your own pairs, paired by name: half of the training samples, unless mix.own says "
    "another share.",
)
@click.option("--out", type=LocalPath(path_type=Path, file_okay=False), help="Run folder.")
@click.option("--max-minutes", type=FiniteRange(0), help="Stop after this time, with a checkpoint.")
@click.option(
    "--anneal-minutes",
    type=FiniteRange(0),
    default=0.0,
    help="Anneal a copy over the last part of --max-minutes and save it.",
)
@click.option("--resume", is_flag=True, help="Resume the run in --out exactly where it stopped.")
@click.option("--change", is_flag=True, help="Resume with other settings than the run had.")
@click.option(
    "--start",
    metavar="CHECKPOINT|NAME|FOLDER",
    help="Weights to start from: a checkpoint's average or a model's, such as compact.",
)
@training_device_option
@click.option(
    "--compile/--no-compile",
    "compiled",
    default=None,
    help="Compile a restorer's network; needs a C++ compiler on a processor. By default on cuda alone.",
)
@click.option("--threads", type=click.IntRange(1), help="Processor cores to use; all of them by default.")
@click.option(
    "--views",
    type=click.IntRange(0),
    default=6,
    show_default=True,
    help="Held-out views of each kind of damage to validate a restorer with; 0 for no validation.",
)
@click.option("--validate-minutes", type=FiniteRange(0), help="Also validate at this interval, in minutes.")
@click.option(
    "--validate-start/--no-validate-start",
    default=True,
    show_default=True,
    help="Also validate before the first step, to measure the gain.",
)
@click.option(
    "--worth", is_flag=True, help="Finally measure how much each percept contributes; takes minutes."
)
@click.option("--save", type=LocalPath(path_type=Path, file_okay=False), help="Folder for the model.")
@click.option(
    "--save-if-better",
    is_flag=True,
    help="Write --save only if the mean validation PSNR rose against the model there, or else the start.",
)
@click.option("--overwrite", is_flag=True, help="Let --save replace a model without a comparison.")
@perceiver_options
def train(
    words: tuple[str, ...],
    listed: bool,
    show: bool,
    fields: tuple[str, ...],
    steps: int | None,
    **options: Any,
) -> None:
    """Train a restorer or perceivers by a recipe.

    --list shows the recipes, and series of runs that follow one another.
    FIELD=VALUE changes a field. A run continues with --resume. To anneal it,
    resume it with --steps a little above the step it has reached: the learning rate falls to zero by then.
    Resumed once more with more steps, it continues from before the annealing. Ctrl-C ends a run after its
    step; a second one does not wait.
    """
    if listed:
        _list()
        return
    name, changes = name_and_changes(words, "recipe")
    changes = [*fields, *changes, *([] if steps is None else [f"steps={steps}"])]
    if show:
        _show(name, changes, own_pairs=options["pairs"] is not None)
    else:
        _train(name, changes, Options(**options))


def _list() -> None:
    from clearair.training.recipes import RECIPES
    from clearair.training.series.series import LISTED

    width = max(map(len, RECIPES))
    for name, about in ({name: recipe.about for name, recipe in RECIPES.items()} | LISTED).items():
        click.echo(f"{name:{width}}  {about}")


def _show(name: str, changes: Sequence[str], *, own_pairs: bool) -> None:
    from clearair.training.recipes import read_recipe, recipe_name, to_toml
    from clearair.training.series.series import is_series, read_series, series_text

    if is_series(name):
        if changes:
            raise click.UsageError("--show prints a series as it is: leave out the changes.")
        read_series(name)
        click.echo(series_text(name), nl=False)
        return
    recipe = read_recipe(name, changes, own_pairs=own_pairs)
    click.echo(to_toml(recipe_name(name), recipe), nl=False)


def _train(name: str, changes: Sequence[str], options: Options) -> None:
    assert options.data is not None
    assert options.out is not None
    if os.environ.get("RANK", "0") == "0":
        say_notice(f"train {name}: loading PyTorch")
    from clearair.runtime.pytorch import choose_device
    from clearair.training.loop.processes import joined
    from clearair.training.recipes import read_recipe
    from clearair.training.series.series import is_series, read_series
    from clearair.training.trainer import trainer_for

    recipe: AnyRecipe | Series
    if is_series(name):
        if options.pairs is not None:
            raise click.UsageError("A series trains on --data only: leave out --pairs.")
        recipe = read_series(name, changes)
    else:
        recipe = read_recipe(name, changes, own_pairs=options.pairs is not None)
    with joined(str(choose_device(options.device))) as (processes, device):
        setup = _setup(options, options.data, options.out, device, processes)
        setup.machine.prepare(options.threads)
        setup.notice(f"{name}: loading the networks, on {device}")
        trainer = trainer_for(recipe, setup)
        if options.resume and not trainer.has_begun:
            setup.notice(f"{options.out}: holds no run yet, so it begins here.")
        try:
            trainer.train()
        except KeyboardInterrupt:
            setup.notice(f"{trainer.standing}; to continue, use the same command with --resume")
            raise


def _setup(options: Options, data: Path, out: Path, device: str, processes: Processes) -> Setup:
    """Return the setup that the options describe. Raises ClearAirError for missing files."""
    from clearair.training.loop.loop import RunOptions, ignore
    from clearair.training.loop.trainer import Machine, Saving, Setup, Validation
    from clearair.training.trainer import find_own_pairs

    return Setup(
        data,
        out,
        RunOptions(
            options.resume,
            options.change,
            options.start,
            options.max_minutes,
            options.anneal_minutes,
        ),
        Machine(device, options.compiled, processes),
        Validation(options.views, options.validate_minutes, options.validate_start, options.worth),
        Saving(options.save, options.save_if_better, options.overwrite),
        chosen_batch_perceiver(),
        find_own_pairs(options.pairs),
        click.echo if processes.leads else ignore,
        say_notice if processes.leads else ignore,
    )

"""`clearair ablate`: train all variants of one choice, and compare them in one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearair.apps.cli.lines import say, say_notice
from clearair.apps.cli.options import (
    LocalPath,
    chosen_batch_perceiver,
    name_and_changes,
    perceiver_options,
    require_data,
    training_device_option,
)

if TYPE_CHECKING:
    from clearair.ablation.runs import Ablation, Bench


@dataclass(frozen=True)
class Options:
    """The options of an ablation, besides its family."""

    budget: str | None
    seeds: str
    data: Path | None
    out: Path | None
    recipe: str
    only: tuple[str, ...]
    start: str | None
    views: int
    device: str
    threads: int | None

    def __post_init__(self) -> None:
        """Raises UsageError for a missing option, DataError for a missing data folder."""
        for option, value in (("--budget", self.budget), ("--data", self.data), ("--out", self.out)):
            if value is None:
                raise click.UsageError(f"Missing option '{option}'.")
        if self.data is not None:
            require_data(self.data)


@click.command()
@click.argument("words", nargs=-1, metavar="FAMILY [FIELD=VALUE]...")
@click.option("--list", "listed", is_flag=True, help="Show the families and their variants, and exit.")
@click.option("--budget", metavar="STEPS|MINUTES", help="Budget of each run, such as 200steps or 30min.")
@click.option(
    "--seeds", default="1", show_default=True, metavar="N,...", help="Seeds to train each variant with."
)
@click.option("--data", type=LocalPath(path_type=Path), help="Data folder.")
@click.option("--out", type=LocalPath(path_type=Path, file_okay=False), help="Folder for runs and table.")
@click.option("--recipe", default="small", show_default=True, help="Recipe to vary: a name or FILE.toml.")
@click.option("--only", multiple=True, metavar="VARIANT", help="Train this one; may be given several times.")
@click.option("--start", metavar="CHECKPOINT|NAME|FOLDER", help="Weights that all variants start from.")
@click.option(
    "--views", type=click.IntRange(1), default=6, show_default=True, help="Held-out views of each kind."
)
@training_device_option
@click.option("--threads", type=click.IntRange(1), help="Processor cores to use; all of them by default.")
@perceiver_options
def ablate(words: tuple[str, ...], listed: bool, **options: Any) -> None:
    """Train variants of one choice with the same budget.

    FIELD=VALUE changes the recipe of all variants, such as network.channels=16,32,64. table.md and
    table.json in the output folder are written again after each run. The same command continues where it
    was stopped: finished runs are not trained again.
    """
    if listed:
        _list()
        return
    name, changes = name_and_changes(words, "family")
    chosen = Options(**options)
    try:
        _ablate(name, changes, chosen)
    except KeyboardInterrupt:
        say(f"{chosen.out}: stopped; the same command continues from here", err=True)
        raise


def _list() -> None:
    from clearair.training.restorer.recipes import small
    from clearair.training.restorer.variants import FAMILIES

    for name, family in FAMILIES.items():
        click.echo(f"{name:11}  {family.question}: {'; '.join(family.variants(small()))}")


def _ablate(name: str, changes: Sequence[str], options: Options) -> None:
    assert options.out is not None
    assert options.data is not None
    say_notice(f"ablate {name}: loading PyTorch")
    from clearair.ablation.runs import Bench
    from clearair.placing import make_folder
    from clearair.runtime.pytorch import choose_device
    from clearair.training.loop.trainer import Machine

    machine = Machine(str(choose_device(options.device)))
    machine.prepare(options.threads)
    ablation = _ablation(name, changes, options)
    ablation.variants(options.only)
    _check_fields(name, ablation, changes)
    _check_tables(name, options.out)
    make_folder(options.out)
    bench = Bench(options.data, chosen_batch_perceiver(), machine.device, say_notice)
    _run(name, ablation, bench, options, [f"changed for all: {change}" for change in changes])


def _ablation(name: str, changes: Sequence[str], options: Options) -> Ablation:
    """Return the ablation to run. Raises UsageError or ConfigError for an unknown family, recipe or field."""
    from clearair.ablation.budget import read_budget
    from clearair.ablation.runs import Ablation
    from clearair.errors import UsageError
    from clearair.training.loop.fields import suggestion
    from clearair.training.recipes import read_restorer
    from clearair.training.restorer.variants import FAMILIES

    if name not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise UsageError(f"There is no family {name!r}{suggestion(name, FAMILIES)}; known are {known}.")
    assert options.budget is not None
    return Ablation(
        FAMILIES[name],
        read_restorer(options.recipe, changes),
        read_budget(options.budget),
        _seeds(options.seeds),
        options.views,
        options.start,
    )


def _check_fields(name: str, ablation: Ablation, changes: Sequence[str]) -> None:
    """Raise UsageError for a changed field that the budget or the variants set themselves."""
    from clearair.errors import UsageError
    from clearair.training.loop.resume import differences

    base, recipes = ablation.recipe.to_dict(), ablation.variants().values()
    own = {field for recipe in recipes for field in differences(base, recipe.to_dict())}
    for change in changes:
        field = change.partition("=")[0].strip()
        if field in own:
            raise UsageError(f"{change}: the budget or the variants of {name} set {field} themselves.")


def _check_tables(name: str, out: Path) -> None:
    """Raise OutputError if the existing tables were not written by an ablation of this family."""
    from clearair.ablation.runs import RESULT
    from clearair.errors import OutputError
    from clearair.placing import exists

    for table in (out / "table.md", out / "table.json"):
        if exists(table) and not any(out.glob(f"*/{RESULT}")):
            raise OutputError(f"{table}: exists already, but no ablation wrote it; choose another --out.")
    with suppress(OSError, ValueError, TypeError, KeyError):
        family = json.loads((out / "table.json").read_text())["ablation"]
        if family != name:
            raise OutputError(f"{out}: holds the table of the family {family}; choose another --out.")


def _run(name: str, ablation: Ablation, bench: Bench, options: Options, notes: Sequence[str]) -> None:
    """Train every variant, and rewrite the tables after each, with earlier results of the same settings."""
    from clearair.ablation.runs import finished, run_ablation
    from clearair.ablation.table import grid, to_dict
    from clearair.placing import write_atomically

    assert options.out is not None
    text = ""
    for result in run_ablation(ablation, options.out, bench, only=options.only, report=click.echo):
        results = finished(ablation, options.out, result)
        text = grid(name, ablation, results, notes).markdown()
        values = json.dumps(to_dict(name, ablation, results, notes), indent=1, allow_nan=False) + "\n"
        write_atomically(options.out / "table.md", text.encode(), overwrite=True)
        write_atomically(options.out / "table.json", values.encode(), overwrite=True)
    click.echo(text)
    click.echo(f"table -> {options.out / 'table.md'}, {options.out / 'table.json'}")


def _seeds(text: str) -> tuple[int, ...]:
    from clearair.errors import UsageError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--seeds {text}: expected whole numbers separated by commas, such as 1,2."
        ) from error

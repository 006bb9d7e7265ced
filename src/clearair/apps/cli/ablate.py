"""`clearair ablate`: train all variants of one choice, and compare them in one table."""

from __future__ import annotations

import json
from pathlib import Path

import click

from clearair.apps.cli.options import chosen_perceiver, perceiver_options


@click.command()
@click.argument("words", nargs=-1, metavar="FAMILY [FIELD=VALUE]...")
@click.option("--list", "listed", is_flag=True, help="Show the families and their variants, and exit.")
@click.option("--budget", metavar="STEPS|MINUTES", help="Of every single run, such as 200steps or 30min.")
@click.option(
    "--seeds", default="1", show_default=True, metavar="N,...", help="Train each with all of these."
)
@click.option("--data", type=click.Path(path_type=Path), help="Data folder, or one packed.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for runs and table.")
@click.option("--recipe", default="small", show_default=True, help="What the variants are of.")
@click.option("--only", multiple=True, metavar="VARIANT", help="Train this one; may be given several times.")
@click.option("--start", metavar="CHECKPOINT|NAME|FOLDER", help="Weights that all variants start from.")
@click.option(
    "--views", type=click.IntRange(1), default=6, show_default=True, help="Held-out views of each kind."
)
@click.option("--device", default="cpu", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--threads", type=click.IntRange(1), help="Processor cores to use; all of them by default.")
@perceiver_options
def ablate(
    words: tuple[str, ...],
    listed: bool,
    budget: str | None,
    seeds: str,
    data: Path | None,
    out: Path | None,
    recipe: str,
    only: tuple[str, ...],
    start: str | None,
    views: int,
    device: str,
    threads: int | None,
) -> None:
    """Train all variants of a FAMILY with one budget, and write --out/table.md and table.json.

    Fields of the recipe may be changed for all of them, such as network.channels=16,32,64. The table is
    written anew after each run. The same command goes on where it was stopped: what is finished is not
    trained again.
    """
    from clearair.training.variants import FAMILIES

    if listed:
        for name, family in FAMILIES.items():
            click.echo(f"{name:11}  {family.question}: {'; '.join(_variants(name))}")
        return
    names = [word for word in words if "=" not in word]
    if len(names) != 1:
        raise click.UsageError(f"Name one family; got {', '.join(names) or 'none'}. --list shows them.")
    for option, value in (("--budget", budget), ("--data", data), ("--out", out)):
        if value is None:
            raise click.UsageError(f"Missing option '{option}'.")
    assert budget is not None
    assert data is not None
    assert out is not None
    import torch

    from clearair.ablation.budget import read_budget
    from clearair.ablation.runs import RESULT, Ablation, Bench, run_ablation
    from clearair.ablation.table import grid, to_dict
    from clearair.data.pack import unpacked
    from clearair.errors import OutputError, UsageError
    from clearair.files.outputs import make_folder
    from clearair.image import exists, write_atomically
    from clearair.runtime.pytorch import choose_device
    from clearair.training.overrides import meant, override
    from clearair.training.recipes import get_recipe

    (name,) = names
    if name not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise UsageError(f"There is no family {name!r}{meant(name, FAMILIES)}; known are {known}.")
    device = str(choose_device(device))
    if threads:
        torch.set_num_threads(threads)
    changes = [word for word in words if "=" in word]
    ablation = Ablation(
        FAMILIES[name],
        override(get_recipe(recipe), changes),
        read_budget(budget),
        _seeds(seeds),
        views,
        start,
    )
    ablation.variants(only)
    for table in (out / "table.md", out / "table.json"):
        if exists(table) and not any(out.glob(f"*/{RESULT}")):
            raise OutputError(f"{table}: exists already, and not from an ablation; choose another --out.")
    make_folder(out)
    bench = Bench(unpacked(data, out), chosen_perceiver(), device)
    notes = [f"changed for all: {change}" for change in changes]
    results = []
    text = ""
    for result in run_ablation(ablation, out, bench, only=only, report=click.echo):
        results.append(result)
        text = grid(name, ablation, results, notes).markdown()
        values = json.dumps(to_dict(name, ablation, results, notes), indent=1, allow_nan=False) + "\n"
        write_atomically(out / "table.md", text.encode(), overwrite=True)
        write_atomically(out / "table.json", values.encode(), overwrite=True)
    click.echo(text)
    click.echo(f"table -> {out / 'table.md'}, {out / 'table.json'}")


def _variants(family: str) -> list[str]:
    from clearair.training.recipes import small
    from clearair.training.variants import FAMILIES

    return list(FAMILIES[family].variants(small()))


def _seeds(text: str) -> tuple[int, ...]:
    from clearair.errors import UsageError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--seeds {text}: whole numbers with commas between them, such as 1,2.") from error

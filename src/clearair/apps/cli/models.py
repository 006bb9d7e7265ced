"""`clearair models`."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def models() -> None:
    """List models, and import public weights."""


@models.command("list")
def list_models() -> None:
    """List the named models with size, description and folder."""
    from clearair.models.catalogue import CATALOGUE

    for entry in CATALOGUE.values():
        size = f"{entry.size / 1e6:.1f} MB" if entry.size else "not there"
        click.echo(f"{entry.name:<10} {size:>9}  {entry.description}\n{'':<10} {entry.folder}")


@models.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the model; by default FILE without its suffix.",
)
@click.option(
    "--blocks",
    default="3,5,6,8",
    show_default=True,
    metavar="A,B,C,D|all",
    help="Blocks to take of each level, finest first; all gives Restormer itself.",
)
@click.option("--trust-pickle", is_flag=True, help="Open FILE even if it holds code, which then runs.")
@click.option("--overwrite", is_flag=True, help="Replace an existing model.")
def import_model(file: Path, output: Path | None, blocks: str, trust_pickle: bool, overwrite: bool) -> None:
    """Start a model from the public Restormer checkpoint FILE.

    The command prints which weights it took. `clearair train base --start FOLDER` trains the model. With
    --blocks all it restores as Restormer does.
    """
    import torch

    from clearair.apps.cli.lines import say
    from clearair.models.restormer import import_restormer
    from clearair.models.saved import save_model
    from clearair.models.stored import check_folder

    counts = None if blocks == "all" else _counts(blocks)
    folder = output or file.with_suffix("")
    if folder == file:
        raise click.UsageError(f"{file}: has no suffix to leave out; name a folder with --output.")
    check_folder(folder, overwrite=overwrite)
    taken = import_restormer(file, blocks=counts, trust_pickle=trust_pickle)
    # As exact as the file: rounded to half precision it would not be Restormer any more.
    save_model(taken.network, folder, precision=torch.float32, overwrite=overwrite)
    click.echo(taken.report())
    say(f"model -> {folder}")


def _counts(blocks: str) -> tuple[int, ...]:
    counts = [part.strip() for part in blocks.split(",")]
    if len(counts) != 4 or not all(count.isdecimal() for count in counts):
        raise click.UsageError(f"--blocks needs four numbers, such as 3,5,6,8, or all; got {blocks!r}.")
    return tuple(map(int, counts))

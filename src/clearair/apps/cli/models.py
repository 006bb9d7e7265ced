"""`clearair models`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clearair.apps.cli.options import LocalPath
from clearair.errors import UsageError

if TYPE_CHECKING:
    from clearair.models.public import PublicModel


@click.group()
def models() -> None:
    """List models; show, convert or import public weights."""


@models.command("list")
def list_models() -> None:
    """List the named models with size, description and folder."""
    from clearair.models.catalogue import CATALOGUE

    for entry in CATALOGUE.values():
        size = f"{entry.size / 1e6:.1f} MB" if entry.size else "not there"
        click.echo(f"{entry.name:<10} {size:>9}  {entry.description}\n{'':<10} {entry.folder}")


@models.command("import")
@click.argument("file", type=LocalPath(path_type=Path, dir_okay=False))
@click.option(
    "--output",
    "-o",
    type=LocalPath(path_type=Path, file_okay=False),
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


@models.command("show")
@click.argument("file", type=LocalPath(path_type=Path, dir_okay=False))
def show_model(file: Path) -> None:
    """Show which network a checkpoint of another project holds.

    Needs spandrel: pip install 'clearair[spandrel]'.
    """
    from clearair.models.catalogue import CATALOGUE
    from clearair.models.public import open_public

    if str(file) in {entry.name for entry in CATALOGUE.values()} and not file.exists():
        raise UsageError(
            f"{file}: is a model of clearair, see `clearair models list`; name a checkpoint file."
        )
    _tell(open_public(file))


@models.command("convert")
@click.argument("file", type=LocalPath(path_type=Path, dir_okay=False))
@click.option(
    "--output",
    "-o",
    type=LocalPath(path_type=Path, dir_okay=False),
    help="File to write; by default FILE with the suffix .safetensors.",
)
@click.option("--trust-pickle", is_flag=True, help="Open FILE even if it holds code, which then runs.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def convert_model(file: Path, output: Path | None, trust_pickle: bool, overwrite: bool) -> None:
    """Write a checkpoint as safetensors, which holds no code.

    `clearair restore --model` then opens it without --trust-pickle.
    """
    from clearair.apps.cli.lines import say
    from clearair.models.public import convert_public

    target = output or file.with_suffix(".safetensors")
    _tell(convert_public(file, target, trust_pickle=trust_pickle, overwrite=overwrite))
    say(f"weights -> {target}")


def _tell(model: PublicModel) -> None:
    size = sum(each.numel() for each in model.network.parameters())
    rows = {
        "network": f"{model.architecture}, from {model.code}",
        "parameters": f"{size / 1e6:.3g} million",
        "channels": "3 (RGB)" if model.channels == 3 else "1 (grey)",
        "precisions": ", ".join(model.precisions),
        "tiles": "large ones suit it better" if model.sees_whole else "of any size",
    }
    for label, value in rows.items():
        click.echo(f"{label:<10}  {value}")


def _counts(blocks: str) -> tuple[int, ...]:
    counts = [part.strip() for part in blocks.split(",")]
    if len(counts) != 4 or not all(count.isdecimal() for count in counts):
        raise click.UsageError(f"--blocks needs four numbers, such as 3,5,6,8, or all; got {blocks!r}.")
    return tuple(map(int, counts))

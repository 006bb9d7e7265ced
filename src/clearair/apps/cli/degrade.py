"""`clearair degrade`."""

from __future__ import annotations

from pathlib import Path

import click

from clearair.apps.cli.lines import say
from clearair.apps.cli.options import FiniteRange, LocalPath, max_pixels_option
from clearair.apps.cli.records import remark
from clearair.kinds import listed


@click.command()
@click.argument("image", type=LocalPath(path_type=Path))
@click.option(
    "--output", "-o", type=LocalPath(path_type=Path), required=True, metavar="OUT", help="File to write."
)
@click.option(
    "--with",
    "kinds",
    required=True,
    metavar="KIND,...",
    help=f"{listed()}, or several with commas between.",
)
@click.option("--strength", type=FiniteRange(0, 1), help="Strength; drawn from the seed by default.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same damage.")
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@max_pixels_option
def degrade(
    image: Path, output: Path, kinds: str, strength: float | None, seed: int, overwrite: bool, max_pixels: int
) -> None:
    """Add realistic, reproducible damage to a clean photo."""
    from clearair.data.naming import named
    from clearair.files.outputs import check_file, check_suffix
    from clearair.image import read_photo, write_photo
    from clearair.placing import make_folder

    names = named(kinds)
    check_suffix(output)
    check_file(output, inputs=[image], overwrite=overwrite, make_folder=True)
    photo = read_photo(image, max_pixels=max_pixels)
    from clearair.degrading import degrade_photo  # load PyTorch only after all other checks

    damaged = degrade_photo(photo, names, strength=strength, seed=seed)
    make_folder(output.parent)
    remark(str(image), (*damaged.notes, *write_photo(damaged, output, overwrite=overwrite)))
    say(f"{image} -> {output}")

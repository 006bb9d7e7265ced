"""`clearair plot`: a picture of a training run."""

from __future__ import annotations

from pathlib import Path

import click

from clearair.apps.cli.options import LocalPath


@click.command()
@click.argument("run", type=LocalPath(path_type=Path, file_okay=False))
@click.option(
    "--output",
    "-o",
    type=LocalPath(path_type=Path, dir_okay=False),
    help="Write this .png, .svg or .pdf; by default plot.png in RUN, replaced if there.",
)
@click.option("--overwrite", is_flag=True, help="Replace the output when it exists.")
def plot(run: Path, output: Path | None, overwrite: bool) -> None:
    """Plot the curves and sample images of a training run.

    RUN is the output folder of `clearair train`. The plot has curves by kind of damage, and held-out pictures
    before and after.
    """
    from clearair.apps.plot import draw_run
    from clearair.files.outputs import check_file
    from clearair.placing import write_atomically

    target = output or run / "plot.png"
    overwrite = overwrite or output is None
    if output is not None:
        check_file(output, overwrite=overwrite)
    write_atomically(target, draw_run(run, target.suffix), overwrite=overwrite)
    click.echo(f"{run} -> {target}")

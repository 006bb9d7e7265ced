"""`clearair report`: compare measurements with the published tables."""

from __future__ import annotations

from pathlib import Path

import click

from clearair.apps.cli.options import LocalPath


@click.command()
@click.argument("runs", nargs=-1, type=LocalPath(path_type=Path, dir_okay=False))
@click.option(
    "--training",
    multiple=True,
    type=LocalPath(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Add the run in this folder of `clearair train`; may be given again.",
)
@click.option(
    "--ablation",
    "ablations",
    multiple=True,
    type=LocalPath(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Add this table.json of `clearair ablate`; may be given again.",
)
@click.option(
    "-o",
    "--output",
    type=LocalPath(path_type=Path, dir_okay=False),
    required=True,
    help="Write this .md or .html file.",
)
@click.option("--overwrite", is_flag=True, help="Replace that file when it exists.")
def report(
    runs: tuple[Path, ...],
    training: tuple[Path, ...],
    ablations: tuple[Path, ...],
    output: Path,
    overwrite: bool,
) -> None:
    """Compare results with the paper's tables.

    RUNS are files of `clearair evaluate --json`.
    """
    if not (runs or training or ablations):
        raise click.UsageError(
            "Name at least one file of `clearair evaluate --json`, or use --training or --ablation."
        )
    from clearair.ablation.table import read_grid
    from clearair.apps.run_report import training_section, training_table
    from clearair.errors import UsageError
    from clearair.evaluation.report import markdown, page, read_run
    from clearair.files.outputs import check_file
    from clearair.placing import write_atomically

    named: dict[Path, Path] = {}
    for path in runs:
        named.setdefault(path.resolve(), path)
    runs = tuple(named.values())
    is_page = output.suffix.lower() == ".html"
    if not is_page and output.suffix.lower() != ".md":
        raise UsageError(f"-o {output}: a report is a .md or a .html file.")
    check_file(output, overwrite=overwrite, inputs=[*runs, *ablations])
    read = [read_run(path) for path in runs]
    grids = [read_grid(path) for path in ablations]
    if is_page:
        sections = [each.html() for each in grids] + [training_section(folder) for folder in training]
        text = page(read, extra=sections)
    else:
        sections = [each.markdown(level=2) for each in grids] + [
            training_table(folder) for folder in training
        ]
        text = markdown(read, extra=sections)
    write_atomically(output, text.encode(), overwrite=overwrite)
    click.echo(f"report -> {output}")

"""`clearair report`: the published tables with measured rows in them."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="A .md or .html file.",
)
@click.option("--overwrite", is_flag=True, help="Replace that file when it exists.")
def report(runs: tuple[Path, ...], output: Path, overwrite: bool) -> None:
    """Put the results of RUNS, files of `clearair evaluate --json`, into the paper's tables."""
    from clearair.errors import UsageError
    from clearair.evaluation.report import markdown, page, read_run
    from clearair.files.outputs import check_file
    from clearair.image import write_atomically

    if output.suffix.lower() not in (".md", ".html"):
        raise UsageError(f"-o {output}: a report is a .md or a .html file.")
    check_file(output, overwrite=overwrite, inputs=runs)
    read = [read_run(path) for path in runs]
    text = markdown(read) if output.suffix.lower() == ".md" else page(read)
    write_atomically(output, text.encode(), overwrite=overwrite)
    click.echo(f"report -> {output}")

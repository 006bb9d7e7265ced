"""`clearair data`: check, describe and pack data sets."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from clearair.apps.cli.lines import say
from clearair.apps.cli.options import LocalPath


@click.group()
def data() -> None:
    """Check and describe data sets."""


@data.command()
@click.argument("folder", metavar="DATA", type=LocalPath(path_type=Path, file_okay=False))
@click.option(
    "--views", type=click.IntRange(1), default=96, show_default=True, help="Views of each kind of damage."
)
@click.option(
    "--sheet", type=LocalPath(path_type=Path, dir_okay=False), help="Also write a sheet of sample images."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing sheet.")
def describe(folder: Path, views: int, sheet: Path | None, overwrite: bool) -> None:
    """Summarise how strong the training damage is.

    Compares the damage drawn on DATA with its pairs of real damage.
    """
    from clearair.data.describe import as_markdown, contact_sheet
    from clearair.data.describe import describe as describe_data
    from clearair.files.outputs import check_file, check_suffix
    from clearair.image import Photo, write_photo

    if sheet is not None:
        check_suffix(sheet)
        check_file(sheet, overwrite=overwrite)
    damage = describe_data(folder, views=views)
    for line in as_markdown(damage).splitlines():
        say(line)
    if sheet is not None:
        pixels = contact_sheet(damage).permute(1, 2, 0).numpy()
        write_photo(Photo(pixels), sheet, overwrite=overwrite)


@data.command()
@click.argument("folder", type=LocalPath(path_type=Path, file_okay=False))
@click.option("--no-leaks", is_flag=True, help="Skip the search for test images among the training images.")
def check(folder: Path, no_leaks: bool) -> None:
    """Check a dataset for missing files and train/test leaks.

    Also reports misplaced folders and pairs of unequal size. The exit code is 1 when anything is reported.
    """
    from clearair.data.checking import check_data

    def on_done(what: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r\033[K{what}: {done}/{total}", err=True, nl=False)

    report = check_data(folder, leaks=not no_leaks, on_done=on_done)
    for name, (found, count) in report.sets.items():
        say(f"{name}: {found}" + (f" of {count}" if count else ""))
    for problem in report.problems:
        say(f"problem: {problem}")
    for leak in report.leaks:
        say(f"leak: {leak.train} shows {leak.test}" + (f" ({leak.how})" if leak.how else ""))
    say(f"{len(report.problems)} problems, {len(report.leaks)} leaks")
    if report.problems or report.leaks:
        sys.exit(1)

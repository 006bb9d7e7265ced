"""`clearair inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from clearair.apps.cli.options import max_pixels_option
from clearair.errors import ClearAirError, OutputError

_LIKELY = 0.5  # degradations from this probability on are named in the text


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.option(
    "--overlay",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write a picture of the regions for each input.",
)
@max_pixels_option
@click.pass_context
def inspect(
    ctx: click.Context, paths: tuple[str, ...], as_json: bool, overlay: Path | None, max_pixels: int
) -> None:
    """Say what is wrong with photographs: quality from 1 (bad) to 5 (excellent), and degradations."""
    from clearair.apps.overlay import draw_regions
    from clearair.files.batch import find_images, plan_outputs
    from clearair.image import read_photo, write_photo
    from clearair.perception import load_compact

    sources = find_images(paths, out=overlay)
    targets = (
        plan_outputs(sources, overlay, suffix=".regions", format="png") if overlay else [None] * len(sources)
    )
    perceiver = load_compact()
    records: list[dict[str, Any]] = []
    failed = False
    for source, job in zip(sources, targets, strict=True):
        try:
            photo = read_photo(source.path, max_pixels=max_pixels)
            percepts = perceiver.perceive_image(photo.pixels)
            if job is not None:
                _make_folder(job.target.parent)
                write_photo(draw_regions(photo.pixels, percepts.labels), job.target, overwrite=True)
        except ClearAirError as error:
            failed = True
            click.echo(f"clearair: {error}", err=True)
            records.append({"input": str(source.path), "error": str(error)})
            continue
        records.append({"input": str(source.path), **percepts.to_dict()})
        if not as_json:
            click.echo(_line(records[-1]))
    if as_json:
        click.echo(json.dumps(records, indent=2))
    ctx.exit(1 if failed else 0)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made: {error.strerror}.") from error


def _line(record: dict[str, Any]) -> str:
    ranked = sorted(record["degradations"].items(), key=lambda item: -item[1])
    found = ", ".join(f"{name} {probability:.0%}" for name, probability in ranked if probability >= _LIKELY)
    return (
        f"{record['input']}: quality {record['score']:.1f} of 5, {len(record['regions'])} regions; "
        f"{found or 'nothing found to be wrong'}"
    )

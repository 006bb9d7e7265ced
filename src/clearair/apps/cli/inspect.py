"""`clearair inspect`: report what is wrong with photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearair.apps.cli.lines import in_options, say, say_error
from clearair.apps.cli.options import LocalPath, chosen_perceiver, max_pixels_option, perceiver_options
from clearair.errors import ClearAirError, ImageError

if TYPE_CHECKING:
    from clearair.outcome import Outcome
    from clearair.percepts import Percepts


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list instead of a line for each photo.")
@click.option(
    "--overlay",
    type=LocalPath(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Draw quality, regions and damage of each photo into this folder.",
)
@click.option("--overwrite", is_flag=True, help="Replace drawings that exist.")
@perceiver_options
@max_pixels_option
@click.pass_context
def inspect(
    ctx: click.Context,
    paths: tuple[str, ...],
    as_json: bool,
    overlay: Path | None,
    overwrite: bool,
    max_pixels: int,
) -> None:
    """Report quality, damage and regions of photos.

    Quality lies between 1 (bad) and 5 (excellent). Nothing is changed.
    """
    from clearair.apps.overlay import draw_percepts
    from clearair.files.finding import find_images
    from clearair.files.outputs import Job, check_file, plan_outputs
    from clearair.image import read_photo, write_photo
    from clearair.perception.telling import expected
    from clearair.placing import make_folder
    from clearair.runtime.loading import load_perceiver

    found = find_images(paths, out=overlay)
    if overlay is not None:
        jobs = plan_outputs(found, overlay, suffix=".regions", format="png", into_folder=True)
    else:
        jobs = [Job(source.path, source.path) for source in found.sources]
        jobs += [Job(problem.path, problem.path, problem.message) for problem in found.problems]
    for remark in found.remarks():
        say(f"clearair: {remark}", err=True)
    perceiver = chosen_perceiver() or load_perceiver()
    records: list[dict[str, Any]] = []
    failed = False
    for job in jobs:
        try:
            if job.problem is not None and job.source == job.target:  # a place that cannot be searched
                raise ImageError(job.problem)
            draws = overlay is not None and job.problem is None
            if draws:
                check_file(job.target, inputs=[job.source], overwrite=overwrite, make_folder=True)
            photo = read_photo(job.source, max_pixels=max_pixels)
            percepts = perceiver.perceive_image(photo.pixels)
            if draws:
                make_folder(job.target.parent)
                write_photo(draw_percepts(photo.pixels, percepts), job.target, overwrite=overwrite)
        except ClearAirError as error:
            failed = True
            say_error(error)
            records.append({"input": str(job.source), "error": in_options(str(error))})
            continue
        outcome = expected(perceiver, percepts)
        records.append({"input": str(job.source), **percepts.to_dict(), "outcome": outcome.to_dict()})
        if not as_json:
            say(_line(str(job.source), percepts, outcome))
        if job.problem is not None:
            failed = True
            say_error(job.problem)
    if as_json:
        click.echo(json.dumps(records, indent=2))
    ctx.exit(1 if failed else 0)


def _line(name: str, percepts: Percepts, outcome: Outcome) -> str:
    regions = len(percepts.to_dict()["regions"])
    parts = "; ".join(part for part in (str(outcome), outcome.done_to_tone, outcome.hint) if part)
    count = f"{regions} region{'' if regions == 1 else 's'}"
    return f"{name}: quality {percepts.score:.1f} of 5, {count}; {parts}"

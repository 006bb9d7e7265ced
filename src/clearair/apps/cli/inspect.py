"""`clearair inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from clearair.apps.cli.lines import say
from clearair.apps.cli.options import chosen_perceiver, max_pixels_option, perceiver_options
from clearair.errors import ClearAirError, ImageError
from clearair.memory import require_pytorch_room

_LIKELY = 0.5  # degradations from this probability on are named in the text


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.option(
    "--overlay",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write a picture for each input: its regions, how good it is, and what is wrong in each.",
)
@click.option("--overwrite", is_flag=True, help="Replace pictures in that folder.")
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
    """Say what is wrong with photographs: quality from 1 (bad) to 5 (excellent), and degradations."""
    from clearair.apps.overlay import draw_percepts
    from clearair.files.finding import find_images
    from clearair.files.outputs import Job, check_file, make_folder, plan_outputs
    from clearair.image import read_photo, write_photo

    require_pytorch_room()
    from clearair.perception import load_compact

    found = find_images(paths, out=overlay)
    if overlay is not None:
        jobs = plan_outputs(found, overlay, suffix=".regions", format="png")
    else:
        jobs = [Job(source.path, source.path) for source in found.sources]
        jobs += [Job(problem.path, problem.path, problem.message) for problem in found.problems]
    if remark := found.remark():
        say(f"clearair: {remark}", err=True)
    perceiver = chosen_perceiver() or load_compact()
    records: list[dict[str, Any]] = []
    failed = False
    for job in jobs:
        try:
            if job.problem is not None:
                raise ImageError(job.problem)
            if overlay is not None:
                check_file(job.target, inputs=[job.source], overwrite=overwrite, make_folder=True)
            photo = read_photo(job.source, max_pixels=max_pixels)
            percepts = perceiver.perceive_image(photo.pixels)
            if overlay is not None:
                make_folder(job.target.parent)
                write_photo(draw_percepts(photo.pixels, percepts), job.target, overwrite=overwrite)
        except ClearAirError as error:
            failed = True
            say(f"clearair: {error}", err=True)
            records.append({"input": str(job.source), "error": str(error)})
            continue
        records.append({"input": str(job.source), **percepts.to_dict()})
        if not as_json:
            say(_line(records[-1]))
    if as_json:
        click.echo(json.dumps(records, indent=2))
    ctx.exit(1 if failed else 0)


def _line(record: dict[str, Any]) -> str:
    ranked = sorted(record["degradations"].items(), key=lambda item: -item[1])
    found = ", ".join(f"{name} {probability:.0%}" for name, probability in ranked if probability >= _LIKELY)
    return (
        f"{record['input']}: quality {record['score']:.1f} of 5, {len(record['regions'])} regions; "
        f"{found or 'nothing found to be wrong'}; {_intent(record['change'], record['tone'])}"
    )


def _intent(change: float, tone: float) -> str:
    """What `restore` will do."""
    if change == 0:
        return "will be left as it is"
    cautiously = "" if change == 1 else f" by {change:.0%}"
    if tone == 0:
        return f"will be restored{cautiously}, its exposure and colour kept"
    return f"will be restored{cautiously}, its exposure and colour corrected by {change * tone:.0%}"

"""`clearair restore`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearair.apps.cli.lines import say
from clearair.apps.cli.options import (
    chosen_perceiver,
    device_option,
    max_pixels_option,
    model_option,
    perceiver_options,
    salvage_option,
)
from clearair.errors import ImageError, UsageError
from clearair.memory import require_pytorch_room

if TYPE_CHECKING:
    from clearair import Restorer
    from clearair.files.batch import Record
    from clearair.files.outputs import Job
    from clearair.outcome import Outcome


def _parse_tile(ctx: click.Context, param: click.Parameter, value: str) -> int | str:
    if value in ("auto", "off"):
        return value
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither auto, off nor a number of pixels.", ctx, param)
    return int(value)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Folder for the results, or a file.",
)
@model_option
@device_option
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="Numbers to compute with.",
)
@click.option(
    "--tile",
    callback=_parse_tile,
    metavar="auto|N|off",
    default="auto",
    show_default=True,
    help="Side of the tiles in pixels.",
)
@click.option(
    "--damage",
    multiple=True,
    metavar="KIND,...",
    help="Say what is wrong, such as haze,rain; none leaves photos as they are.  [default: auto]",
)
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Blend with the input: 0 is the input, 1 the restoration.",
)
@click.option("--keep-tone", is_flag=True, help="Leave exposure and colour as they are.")
@click.option(
    "--suffix", default=".restored", show_default=True, help="Added to names of results beside inputs."
)
@click.option(
    "--format", "format_", metavar="NAME", help="jpeg, png, tiff, webp or avif instead of the input's."
)
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--resume", is_flag=True, help="Skip outputs that exist.")
@click.option("--strip-metadata", is_flag=True, help="Keep the colour profile, drop EXIF and XMP.")
@perceiver_options
@max_pixels_option
@salvage_option
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FILE.json", help="Write a record of each file."
)
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.pass_context
def restore(
    ctx: click.Context,
    paths: tuple[str, ...],
    output: Path | None,
    model: str,
    device: Any,
    precision: Any,
    tile: Any,
    damage: tuple[str, ...],
    strength: float,
    keep_tone: bool,
    suffix: str,
    format_: str | None,
    overwrite: bool,
    resume: bool,
    strip_metadata: bool,
    max_pixels: int,
    salvage: bool,
    report: Path | None,
    quiet: bool,
) -> None:
    """Restore photographs: files, folders, patterns, or `-` from standard input to standard output.

    photo.jpg becomes photo.restored.jpg beside it, or photo.jpg at the same place below OUT. Inputs are
    never overwritten.
    """
    from clearair.files.batch import run
    from clearair.files.finding import find_images
    from clearair.files.outputs import format_named, plan_outputs

    kind = None if format_ is None else format_named(format_)
    wish: dict[str, Any] = {"damage": damage or "auto", "strength": strength, "keep_tone": keep_tone}
    if "-" in paths:
        if len(paths) > 1 or output is not None or report is not None or overwrite or resume:
            raise UsageError(
                "`-` is one picture to standard output: no other PATH and no options about files."
            )
        if sys.stdin is None or sys.stdout is None:
            raise UsageError("`-` needs a standard input and a standard output; one of them is closed.")
        if sys.stdin.isatty() or sys.stdout.isatty():
            raise UsageError("`-` reads and writes a picture: clearair restore - < photo.jpg > better.jpg")
        restorer = _load(model, device, precision, tile)
        _restore_stream(restorer, wish, kind, strip_metadata, max_pixels, salvage, quiet)
        return

    from clearair.apps.cli.progress import Progress

    found = find_images(paths, suffix=suffix, out=output)
    jobs = plan_outputs(found, output, suffix=suffix, format=kind)
    if report is not None:
        _check_report(report, jobs, overwrite, output)
    if not quiet and (remark := found.remark()):
        say(f"clearair: {remark}", err=True)
    restorer = _load(model, device, precision, tile)
    restorer.check_damage(wish["damage"])
    progress = Progress(len(jobs), quiet=quiet)

    def process(photo: Any) -> tuple[Any, dict[str, Any], Outcome]:
        restored, percepts, outcome = restorer.restore_photo(photo, on_tile=progress.tile, **wish)
        return restored, percepts.to_dict(), outcome

    records: list[Record] = []
    try:
        for record in run(
            jobs,
            process,
            overwrite=overwrite,
            resume=resume,
            strip_metadata=strip_metadata,
            max_pixels=max_pixels,
            salvage=salvage,
            on_start=lambda job: progress.start(job.source.name),
            on_done=records.append,  # also what was still being written when the run was broken off
        ):
            progress.clear()
            _tell(record, quiet)
        _sum_up(records, quiet)
    except KeyboardInterrupt:
        progress.clear()
        _sum_up(records, quiet)
        raise
    finally:
        progress.clear()
        if report is not None:
            _write_report(report, records, overwrite)
    ctx.exit(1 if any(record.error for record in records) else 0)


def _load(model: str, device: Any, precision: Any, tile: Any) -> Restorer:
    # PyTorch's convolutions keep what they prepared for each of up to 1024 shapes, which over pictures of
    # many sizes only grows. The limit is read when PyTorch is loaded, here and not before.
    os.environ.setdefault("LRU_CACHE_CAPACITY", "1")
    require_pytorch_room()
    from clearair import Restorer

    return Restorer.from_pretrained(
        model, device=device, precision=precision, tile=tile, perceiver=chosen_perceiver()
    )


def _restore_stream(
    restorer: Restorer,
    wish: dict[str, Any],
    kind: str | None,
    strip_metadata: bool,
    max_pixels: int,
    salvage: bool,
    quiet: bool,
) -> None:
    from clearair.image import encode_photo, output_format, read_photo, refuse_unfit

    restorer.check_damage(wish["damage"])
    photo = read_photo(_read_standard_input(), max_pixels=max_pixels, salvage=salvage)
    refuse_unfit(photo, kind or output_format(photo.format), photo.name)
    restored, _, outcome = restorer.restore_photo(photo, **wish)
    if not quiet:
        _remark(photo.name, restored.notes)
    sys.stdout.buffer.write(encode_photo(restored, kind, strip_metadata=strip_metadata))
    sys.stdout.buffer.flush()  # where nobody reads, this ends the run, and nothing was done
    if not quiet:
        say(f"{photo.name}: {_with_hint(outcome)}", err=True)


def _read_standard_input() -> bytes:
    """All of it when it starts like a picture, else only the start: it need not have an end."""
    from clearair.image.formats import HEAD_BYTES, sniff

    try:
        head = sys.stdin.buffer.read(HEAD_BYTES)
        return head + sys.stdin.buffer.read() if sniff(head) else head
    except OSError as error:
        raise ImageError(f"standard input: cannot be read: {error.strerror}.") from error


def _tell(record: Record, quiet: bool) -> None:
    if record.error:
        say(f"clearair: {record.error}", err=True)
    elif not quiet:
        _remark(record.input, record.notes)
        done = "there already" if record.outcome is None else _with_hint(record.outcome)
        say(f"{record.input} -> {record.output}: {done}")


def _with_hint(outcome: Outcome) -> str:
    return f"{outcome}; {outcome.hint}" if outcome.hint else str(outcome)


def _sum_up(records: Sequence[Record], quiet: bool) -> None:
    from clearair.files.batch import counted

    if not quiet:
        say(f"clearair: {counted(records)}", err=True)


def _remark(name: str, notes: Iterable[str]) -> None:
    for note in notes:
        say(f"{name}: {note}", err=True)


def _check_report(path: Path, jobs: Sequence[Job], overwrite: bool, out: Path | None) -> None:
    """Find out before the work, not after, that the report has no place of its own."""
    from clearair.files.outputs import check_file, is_same_file

    made = out in path.parents  # as the results' folder is
    check_file(path, inputs=[job.source for job in jobs], overwrite=overwrite, make_folder=made)
    if any(is_same_file(path, job.target) for job in jobs):
        raise UsageError(f"--report {path}: is the name of a result. Choose another one.")


def _write_report(path: Path, records: list[Record], overwrite: bool) -> None:
    from clearair.files.outputs import make_folder
    from clearair.image import write_atomically

    make_folder(path.parent)  # where no result has made it
    text = json.dumps([record.to_dict() for record in records], indent=2)
    write_atomically(path, (text + "\n").encode(), overwrite=overwrite)

"""`clearair restore`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearair.apps.cli.lines import say_error, say_to_whoever_reads
from clearair.apps.cli.options import (
    chosen_perceiver,
    chosen_quality,
    damage_option,
    device_option,
    max_pixels_option,
    model_option,
    perceiver_options,
    precision_option,
    quality_options,
    salvage_option,
)
from clearair.errors import ImageError, UsageError
from clearair.memory import require_pytorch_room

if TYPE_CHECKING:
    from clearair import Restorer
    from clearair.files.planning import Plan
    from clearair.files.record import Record
    from clearair.outcome import Outcome


def _parse_tile(ctx: click.Context, param: click.Parameter, value: str) -> int | str:
    if value in ("auto", "off"):
        return value
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither auto, off nor a number of pixels.", ctx, param)
    return int(value)


@click.command()
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option(
    "--files-from",
    metavar="FILE|-",
    help="Restore the files named in FILE too, one a line; - is standard input.",
)
@click.option(
    "--null", "-0", is_flag=True, help="Names in that list end with a NUL byte, as of find -print0."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Folder for the results, or a file; - is standard output.",
)
@model_option
@device_option
@precision_option
@click.option(
    "--tile",
    callback=_parse_tile,
    metavar="auto|N|off",
    default="auto",
    show_default=True,
    help="Side of the tiles in pixels.",
)
@damage_option
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
@click.option("--preserve-times", is_flag=True, help="Give results the modification time of their inputs.")
@click.option("--strip-metadata", is_flag=True, help="Keep the colour profile, drop EXIF and XMP.")
@quality_options
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
    files_from: str | None,
    null: bool,
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
    preserve_times: bool,
    strip_metadata: bool,
    max_pixels: int,
    salvage: bool,
    report: Path | None,
    quiet: bool,
) -> None:
    """Restore photos: files, folders, patterns or standard input.

    `-` reads a photo from standard input and writes it to standard output. photo.jpg becomes
    photo.restored.jpg beside it, or photo.jpg at the same place below OUT. Inputs are never overwritten.
    """
    wish: dict[str, Any] = {"damage": damage or "auto", "strength": strength, "keep_tone": keep_tone}
    wish |= {"max_pixels": max_pixels, "salvage": salvage}
    load = partial(_load, model, device, precision, tile)
    if "-" in paths or output == Path("-"):
        about_files = report is not None or overwrite or resume or preserve_times
        if about_files or (
            "-" in paths and (len(paths) > 1 or files_from or output not in (None, Path("-")))
        ):
            raise UsageError(
                "`-` is one picture to standard output: no other PATH and no options about files."
            )
        listed = _read_list(files_from, null)
        _restore_stream(load, _single(paths, listed), wish, format_, strip_metadata, quiet)
        return
    from clearair.files.planning import plan_batch

    plan = plan_batch(
        paths,
        output,
        listed=_read_list(files_from, null),
        suffix=suffix,
        format=format_,
        overwrite=overwrite,
        resume=resume,
        report=report,
    )
    if not quiet:
        for remark in plan.remarks:
            say_to_whoever_reads(f"clearair: {remark}", err=True)
    wish |= {"strip_metadata": strip_metadata, "preserve_times": preserve_times}
    wish["quality"] = chosen_quality()
    ctx.exit(_restore_batch(load, plan, wish, quiet))


def _restore_batch(load: Callable[[], Restorer], plan: Plan, wish: dict[str, Any], quiet: bool) -> int:
    """Restore all that was planned; the exit code."""
    from clearair.apps.cli.progress import Progress

    restorer = load()
    progress = Progress(len(plan.jobs), quiet=quiet)
    try:
        with closing(restorer.restore_many(plan, watcher=progress, **wish)) as records:
            for record in records:
                progress.clear()
                _tell(record, quiet)
    except KeyboardInterrupt:
        progress.clear()
        _tell_how_to_go_on(plan, progress.records, quiet)
        raise
    finally:
        progress.clear()
    _sum_up(progress.records, quiet)
    return 1 if any(record.error for record in progress.records) else 0


def _read_list(name: str | None, null: bool) -> list[Path]:
    """The paths in a file, or on standard input for `-`."""
    if name is None:
        if null:
            raise UsageError("-0 says how the names of --files-from are parted, which is missing.")
        return []
    from clearair.files.finding import read_list

    if name == "-" and sys.stdin is None:
        raise UsageError("--files-from -: standard input is closed.")
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"--files-from {name}: cannot be read: {error}.") from error
    listed = read_list(data, null=null)
    if not listed:
        raise UsageError(f"--files-from {name}: names no files.")
    return listed


def _single(paths: Sequence[str], listed: Sequence[Path]) -> Path | None:
    """The one picture for standard output; None for standard input."""
    if "-" in paths:
        return None
    from clearair.files.finding import find_images
    from clearair.files.history import earlier_results

    found = find_images(paths, listed=listed, earlier=earlier_results())
    if len(found.sources) != 1:
        raise UsageError(f"-o -: standard output takes one picture, not {len(found.sources)}; name a folder.")
    return found.sources[0].path


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
    load: Callable[[], Restorer],
    source: Path | None,
    wish: dict[str, Any],
    format: str | None,
    strip_metadata: bool,
    quiet: bool,
) -> None:
    """Restore a file, or what comes on standard input, to standard output."""
    from clearair.files.outputs import format_named
    from clearair.image import output_format, read_photo, refuse_unfit

    kind = None if format is None else format_named(format)
    if sys.stdout is None or (source is None and sys.stdin is None):
        raise UsageError("`-` needs a standard input and a standard output; one of them is closed.")
    if sys.stdout.isatty() or (source is None and sys.stdin.isatty()):
        raise UsageError("`-` reads and writes a picture: clearair restore - < photo.jpg > better.jpg")
    restorer = load()
    restorer.check_damage(wish["damage"])
    limits = {name: wish.pop(name) for name in ("max_pixels", "salvage")}
    photo = read_photo(_read_standard_input() if source is None else source, **limits)
    refuse_unfit(photo, kind or output_format(photo.format), photo.name)
    result = restorer(photo, **wish)
    notes = result.save(
        sys.stdout.buffer, format=kind, strip_metadata=strip_metadata, quality=chosen_quality()
    )
    sys.stdout.buffer.flush()  # where nobody reads, this ends the run, and nothing was done
    if not quiet:
        _remark(photo.name, notes)
        say_to_whoever_reads(f"{photo.name}: {_with_hint(result.outcome)}", err=True)


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
        say_error(record.error)
    elif not quiet:
        _remark(record.input, record.notes)
        done = "there already" if record.outcome is None else _with_hint(record.outcome)
        say_to_whoever_reads(f"{record.input} -> {record.output}: {done}")


def _with_hint(outcome: Outcome) -> str:
    return f"{outcome}; {outcome.hint}" if outcome.hint else str(outcome)


def _sum_up(records: Sequence[Record], quiet: bool) -> None:
    from clearair.files.record import counted

    if not quiet:
        say_to_whoever_reads(f"clearair: {counted(records)}", err=True)


def _tell_how_to_go_on(plan: Plan, records: Sequence[Record], quiet: bool) -> None:
    _sum_up(records, quiet)
    left = len(plan.jobs) - len(records)
    how = "--resume instead of --overwrite" if plan.overwrite else "--resume"
    if left:
        done = f"{len(records):,} of {len(plan.jobs):,} done"
        say_to_whoever_reads(f"clearair: {done}; the same command with {how} does the rest.", err=True)


def _remark(name: str, notes: Iterable[str]) -> None:
    for note in notes:
        say_to_whoever_reads(f"{name}: {note}", err=True)

"""`clearair restore`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearair.apps.cli.names import read_names
from clearair.apps.cli.options import (
    FiniteRange,
    LocalPath,
    backend_option,
    cautious_option,
    chosen_perceiver,
    cluster_option,
    damage_option,
    device_option,
    given_options,
    max_pixels_option,
    model_option,
    perceiver_options,
    precision_option,
    quality_options,
    resource_options,
    salvage_option,
)
from clearair.apps.cli.records import remark, sum_up, tell, tell_how_to_go_on
from clearair.apps.cli.stream import STREAM, named_target, restore_stream, single_picture
from clearair.apps.cli.video import check_videos, parted, restore_videos, video_quality_option
from clearair.errors import UsageError

if TYPE_CHECKING:
    from clearair import Restorer
    from clearair.files.planning import Plan


WORDS = "clearair.words"
"""Key of a context for the words that the command was called with."""


def _parse_tile(ctx: click.Context, param: click.Parameter, value: str) -> int | str:
    if value in ("auto", "off"):
        return value
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither auto, off nor a number of pixels.", ctx, param)
    return int(value)


class _Remembering(click.Command):
    """Keeps the words it was called with, so that a run can be resumed with them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[WORDS] = list(args)
        return super().parse_args(ctx, args)


@click.command(cls=_Remembering)
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
    metavar="OUT",
    help="Folder for the results, or a file; - is standard output.",
)
@model_option
@backend_option
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
@resource_options
@damage_option
@cautious_option
@click.option(
    "--strength",
    type=FiniteRange(0, 1),
    default=1.0,
    show_default=True,
    help="Blend with the input: 0 is the input, 1 the restoration.",
)
@click.option("--keep-tone", is_flag=True, help="Leave exposure and colour as they are.")
@click.option("--no-skip", is_flag=True, help="Also restore tiles where no visible change is expected.")
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
@video_quality_option
@perceiver_options
@max_pixels_option
@salvage_option
@click.option(
    "--report", type=LocalPath(path_type=Path), metavar="FILE.json", help="Write a record of each file."
)
@click.option(
    "--journal",
    type=LocalPath(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep a journal, so that the run can be resumed after any interruption; see clearair batch.",
)
@click.option("--list-only", is_flag=True, help="Write the journal and restore nothing yet.")
@cluster_option
@click.option("--shard", metavar="I/N", help="Restore the I-th of N parts of the photos only.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.pass_context
def restore(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    files_from: str | None,
    null: bool,
    output: str | None,
    **options: Any,
) -> None:
    """Restore photos: files, folders, patterns or standard input.

    Videos that are named are restored, too.

    `-` reads a photo from standard input and writes it to standard output, or to the file OUT. photo.jpg
    becomes photo.restored.jpg beside it, or photo.jpg at the same place below OUT. Inputs are never
    overwritten. PATH and OUT may be addresses of stores, such as s3://bucket/photos.
    """
    asked = Asked(**options)
    _check_paths(paths, files_from)
    videos, others = parted(paths)
    if videos:
        check_videos(asked, output)
        ctx.exit(_restore_both(asked, videos, others, files_from, null, output))
    if STREAM in (*paths, output):
        _restore_stream(asked, paths, files_from, null, output)
        return
    from clearair.apps.cli.journaled import go_on, journal_named
    from clearair.files.planning import plan_batch

    if asked.resume and (journal := journal_named(paths)) is not None:
        _refuse_others(ctx, journal)
        ctx.exit(go_on(journal, asked.shard, asked.cluster, quiet=asked.quiet))
    _check_journal(asked)
    if asked.journal is not None and asked.shard is not None and asked.journal.exists():
        # another part has started the run
        ctx.exit(go_on(asked.journal, asked.shard, asked.cluster, quiet=asked.quiet))
    plan = plan_batch(
        paths,
        output,
        listed=read_names(files_from, null),
        suffix=asked.suffix,
        format=asked.format_,
        overwrite=asked.overwrite,
        resume=asked.resume,
        report=asked.report,
    )
    if asked.journal is not None:
        ctx.exit(_restore_by_journal(asked, asked.journal, plan, ctx.meta[WORDS]))
    if asked.shard is not None:
        plan = _part_of(plan, asked.shard)
    ctx.exit(_restore_batch(asked.load, plan, asked.batch_options(), asked.quiet))


@dataclass(frozen=True)
class Asked:
    """What the options say, by the names that click gives them."""

    model: str
    backend: Any
    device: Any
    precision: Any
    tile: Any
    memory_budget: str | None
    jobs: int | None
    cautious: bool
    damage: tuple[str, ...]
    strength: float
    keep_tone: bool
    no_skip: bool
    suffix: str
    format_: str | None
    overwrite: bool
    resume: bool
    preserve_times: bool
    strip_metadata: bool
    jpeg_quality: int | None
    webp_quality: int | None
    avif_quality: int | None
    video_quality: int | None
    max_pixels: int
    salvage: bool
    report: Path | None
    journal: Path | None
    list_only: bool
    cluster: str | None
    shard: str | None
    quiet: bool

    @property
    def suits_a_stream(self) -> bool:
        """Whether no option is about many files, or about times, which a stream does not have."""
        files = (self.report, self.journal, self.shard, self.cluster)
        flags = self.resume or self.preserve_times
        return not flags and all(each is None for each in files)

    def options(self) -> dict[str, Any]:
        """The options by which each picture is restored and written."""
        quality = {"jpeg": self.jpeg_quality, "webp": self.webp_quality, "avif": self.avif_quality}
        return {
            "damage": self.damage or "auto",
            "strength": self.strength,
            "keep_tone": self.keep_tone,
            "skip_tiles": not self.no_skip,
            "strip_metadata": self.strip_metadata,
            "quality": {kind: value for kind, value in quality.items() if value is not None},
            "max_pixels": self.max_pixels,
            "salvage": self.salvage,
        }

    def batch_options(self) -> dict[str, Any]:
        """The same for many pictures."""
        options = {**self.options(), "preserve_times": self.preserve_times, "jobs": self.jobs}
        return {**options, "format": self.format_}

    def load(self) -> Restorer:
        """The model, ready to run."""
        return _load(self.loading())

    def loading(self) -> dict[str, Any]:
        """How the model is loaded, its perceivers apart."""
        return {
            "name": self.model,
            "device": self.device,
            "precision": self.precision,
            "tile": self.tile,
            "backend": self.backend,
            "cautious": self.cautious,
            "memory_budget": self.memory_budget,
        }


def _restore_both(
    asked: Asked,
    videos: list[Path],
    others: list[str],
    files_from: str | None,
    null: bool,
    output: str | None,
) -> int:
    """Restore videos, after the photos that were named with them; the exit code."""
    from clearair.files.planning import plan_batch

    alone = not others and files_from is None
    _check_stream(alone or STREAM not in others)
    kept: list[Restorer] = []

    def load() -> Restorer:
        if not kept:
            kept.append(asked.load())
        return kept[0]

    code = 0
    if not alone:
        plan = plan_batch(
            others,
            output,
            listed=read_names(files_from, null),
            suffix=asked.suffix,
            overwrite=asked.overwrite,
            resume=asked.resume,
        )
        code = _restore_batch(load, plan, asked.batch_options(), asked.quiet)
    return max(code, restore_videos(asked, load, videos, output, alone=alone))


def _restore_stream(
    asked: Asked, paths: Sequence[str], files_from: str | None, null: bool, output: str | None
) -> None:
    """Restore one picture that is read from standard input, or written to standard output."""
    from_file, to_file = STREAM not in paths, output not in (None, STREAM)
    alone = from_file or (len(paths) == 1 and not files_from)
    _check_stream(alone and asked.suits_a_stream and (to_file or not asked.overwrite))
    source = single_picture(paths, read_names(files_from, null)) if from_file else None
    target = None
    if to_file and output is not None:
        target = named_target(output, asked.format_, overwrite=asked.overwrite)
    restore_stream(
        asked.load,
        source,
        target,
        format=asked.format_,
        overwrite=asked.overwrite,
        quiet=asked.quiet,
        **asked.options(),
    )


def _check_journal(asked: Asked) -> None:
    if asked.journal is None:
        if asked.list_only or asked.cluster is not None:
            what = "--list-only" if asked.list_only else "--cluster"
            raise UsageError(f"{what} needs a journal; name it with --journal FILE.")
        return
    if asked.resume or asked.report is not None:
        raise UsageError(
            "--journal records the run itself; leave out --resume and --report, and ask "
            "`clearair batch status`."
        )


def _refuse_others(ctx: click.Context, journal: Path) -> None:
    """Raise UsageError for options that a resumed run would ignore."""
    for name, option in given_options(ctx).items():
        if name not in ("paths", "resume", "shard", "cluster", "quiet"):
            raise UsageError(f"{journal}: the run keeps the options it was started with; leave out {option}.")


def _restore_by_journal(asked: Asked, path: Path, plan: Plan, words: Sequence[str]) -> int:
    """Write the journal of a plan, and restore by it unless the photos are only listed; the exit code."""
    from clearair.apps.cli.journaled import begin, go_on

    if asked.cluster is not None and not asked.list_only:
        from clearair.cluster import check_cluster

        check_cluster(asked.cluster)  # before there is a journal that has to be resumed
    begin(path, plan, words, tells=asked.list_only and not asked.quiet)
    return 0 if asked.list_only else go_on(path, asked.shard, asked.cluster, quiet=asked.quiet)


def _part_of(plan: Plan, said: str) -> Plan:
    """The part of a plan that a shard such as "3/16" has."""
    from clearair.files.journaled import parse_shard

    shard = parse_shard(said)
    return replace(plan, jobs=tuple(job for job in plan.jobs if shard.holds(job.source)))


def _check_paths(paths: Sequence[str], files_from: str | None) -> None:
    if not paths and files_from is None:
        raise UsageError("Missing argument 'PATH...': a file, a folder or a pattern; or use --files-from.")


def _check_stream(alone: bool) -> None:
    if not alone:
        raise UsageError(
            "`-` is one picture, from standard input or to standard output: no other PATH and no options "
            "about many files, as in clearair restore - < photo.jpg > better.jpg"
        )


def _restore_batch(load: Callable[[], Restorer], plan: Plan, options: dict[str, Any], quiet: bool) -> int:
    """Restore all that was planned; the exit code."""
    from clearair.apps.cli.progress import Progress

    if not quiet:
        remark("clearair", plan.remarks)
    restorer = load()
    progress = Progress(len(plan.jobs), quiet=quiet)
    told: set[str] = set()
    try:
        with closing(restorer.restore_many(plan, watcher=progress, **options)) as records:
            for record in records:
                progress.clear()
                tell(record, quiet=quiet)
                told.add(record.input)
    except KeyboardInterrupt:
        progress.clear()
        for record in progress.records:  # pictures in progress have been finished
            if record.input not in told:
                tell(record, quiet=quiet)
        if not quiet:
            sum_up(progress.records)
        tell_how_to_go_on(plan, progress.records)
        raise
    finally:
        progress.clear()
    if not quiet:
        sum_up(progress.records)
    return 1 if any(record.error for record in progress.records) else 0


def _load(loading: dict[str, Any]) -> Restorer:
    # PyTorch's convolutions cache data for up to 1024 shapes, which only grows over pictures of many sizes.
    # The limit is read when PyTorch is loaded, which happens after this.
    os.environ.setdefault("LRU_CACHE_CAPACITY", "1")
    from clearair import Restorer

    return Restorer.from_pretrained(**loading, perceiver=chosen_perceiver())

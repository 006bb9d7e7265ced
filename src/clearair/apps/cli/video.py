"""The part of `clearair restore` that restores videos."""

from __future__ import annotations

import glob
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearair.apps.cli.lines import one_line, print_line, say_error
from clearair.apps.cli.progress import INTERVAL, StatusLine, time_left
from clearair.apps.cli.records import remark
from clearair.errors import ClearAirError, UsageError
from clearair.files.videos import is_video, refuse_store, video_target
from clearair.optional import require_pyav
from clearair.stores import is_address

if TYPE_CHECKING:
    from clearair import Restorer
    from clearair.apps.cli.restore import Asked


def video_quality_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--video-quality."""
    return click.option(
        "--video-quality",
        type=click.IntRange(0, 63),
        metavar="CRF",
        help="CRF of written videos, 0 to 51 or 63; lower is better.  [default: 18 for H.264]",
    )(command)


def parted(paths: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The videos among paths and patterns, each once, and everything else.

    Raises UsageError for a video in a store: only a file can be read here and there.
    """
    videos: list[Path] = []
    others = []
    for path in paths:
        if not is_video(path):
            others.append(path)
        elif is_address(path):
            raise UsageError(f"{path}: a video in a store; copy it to this machine and restore it there.")
        elif glob.has_magic(path) and not Path(path).exists():
            found = sorted(Path(each) for each in glob.glob(path, recursive=True))  # noqa: PTH207
            videos += [each for each in found if is_video(each)] or [Path(path)]
        else:
            videos.append(Path(path))
    return list(dict.fromkeys(videos)), others


def check_videos(asked: Asked, output: str | None) -> None:
    """Raise UsageError for options that make no sense for videos, MissingExtraError without PyAV."""
    if output == "-":
        raise UsageError("A video is not written to standard output; name a file or a folder.")
    refuse_store(output)
    about_photos = {
        "--report": asked.report,
        "--journal": asked.journal,
        "--list-only": asked.list_only or None,
        "--cluster": asked.cluster,
        "--shard": asked.shard,
        "--format": asked.format_,
    }
    for name, value in about_photos.items():
        if value is not None:
            raise UsageError(f"{name} applies to photos only; restore videos without it.")
    require_pyav()


def restore_videos(
    asked: Asked, load: Callable[[], Restorer], videos: Sequence[Path], output: str | None, *, alone: bool
) -> int:
    """Restore videos one after another; the exit code. `alone` says that no photos were named.

    Raises what went wrong where it is the only one.
    """
    from clearair.video.restoring import restore_video
    from clearair.video.segments import WorkFolder

    stems = {(video.parent, video.stem) for video in videos}
    fresh = [video for video in videos if not _is_result(video, asked.suffix, stems)]
    one = alone and len(fresh) == 1
    targets = [video_target(each, output, suffix=asked.suffix, alone=one) for each in fresh]
    _refuse_clashes(fresh, targets)
    options = {
        name: value for name, value in asked.options().items() if name not in ("quality", "skip_tiles")
    }
    if not asked.quiet:
        remark("clearair", _without_effect(asked))
    restorer, failed = load(), 0
    for video, target in zip(fresh, targets, strict=True):
        progress = VideoProgress(video.name, quiet=asked.quiet)
        try:
            result = restore_video(
                restorer,
                video,
                target,
                quality=asked.video_quality,
                overwrite=asked.overwrite,
                resume=asked.resume,
                preserve_times=asked.preserve_times,
                watcher=progress,
                **options,
            )
        except ClearAirError as error:
            progress.clear()
            if one:
                raise
            say_error(error)
            failed += 1
        except KeyboardInterrupt:
            progress.clear()
            if WorkFolder(target).path.exists():  # else nothing was kept that could be continued
                progress.tell_how_to_go_on(overwrite=asked.overwrite)
            raise
        else:
            progress.clear()
            if not asked.quiet:
                remark(str(video), result.notes)
                hint = f"; {result.hint}" if result.hint else ""
                print_line(f"{video} -> {result.output}: {result}{hint}")
    return 1 if failed else 0


def _without_effect(asked: Asked) -> list[str]:
    """A remark for each option that videos take no notice of."""
    remarks = []
    if asked.jobs is not None:
        remarks.append(
            "--jobs applies to photos only; a video is restored one frame at a time, on all cores."
        )
    if asked.no_skip:
        remarks.append("--no-skip applies to photos only; of a video every tile is restored.")
    for name, value in (
        ("jpeg", asked.jpeg_quality),
        ("webp", asked.webp_quality),
        ("avif", asked.avif_quality),
    ):
        if value is not None:
            remarks.append(f"--{name}-quality applies to photos only; that of a video is --video-quality.")
    return remarks


class VideoProgress(StatusLine):
    """Shows frames and the time left; a `VideoWatcher`."""

    def __init__(self, name: str, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self.name = one_line(name)
        self.frames = self.total = self.looked_at = 0
        self._began = 0.0
        self._drawn = 0.0

    def looked(self, frames: int, announced: int) -> None:
        """Show how many frames were analysed."""
        self.looked_at = frames
        self._show(f"{self.name}  looking at frame {frames}{f'/{announced}' if announced else ''}")

    def restored(self, frames: int, total: int, done_before: int) -> None:
        """Show how many frames are done, including those of an earlier run."""
        self.frames, self.total = frames, total
        made = frames - done_before
        if made <= 1:
            self._began = time.monotonic()
            self._show(f"{self.name}  frame {frames}/{total}")
            return
        left = time_left((time.monotonic() - self._began) / (made - 1) * (total - frames))
        self._show(f"{self.name}  frame {frames}/{total}  {left}")

    def tell_how_to_go_on(self, *, overwrite: bool) -> None:
        """Print how far an interrupted video came, and how to finish it."""
        how = "--resume instead of --overwrite" if overwrite else "--resume"
        done = f"{self.frames:,} of {self.total:,} frames were done" if self.frames else "it was looked at"
        if self.frames or self.looked_at:
            print_line(f"clearair: {self.name}: {done}; the same command with {how} continues.", err=True)

    def _show(self, line: str) -> None:
        now = time.monotonic()
        if now - self._drawn >= INTERVAL:
            self._drawn = now
            self.say(line)


def _is_result(video: Path, suffix: str, stems: set[tuple[Path, str]]) -> bool:
    """Whether a video is the restoration of another one in the list, as a shell's `*.mp4` brings."""
    return bool(suffix) and (video.parent, video.stem.removesuffix(suffix)) in stems - {
        (video.parent, video.stem)
    }


def _refuse_clashes(videos: Sequence[Path], targets: Sequence[Path]) -> None:
    owners: dict[Path, Path] = {}
    for video, target in zip(videos, targets, strict=True):
        other = owners.setdefault(target.absolute(), video)
        if other != video:
            raise UsageError(f"{video}: would become {target}, as would {other}; restore it apart.")

"""Many files: which pictures to restore, where each result goes, and one resumable pass over them."""

from __future__ import annotations

import glob
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clearair.errors import ClearAirError, OutputError, UsageError
from clearair.image import (
    DEFAULT_MAX_PIXELS,
    FORMATS,
    SUFFIXES,
    WRITABLE_SUFFIXES,
    Photo,
    exists,
    format_of_suffix,
    output_format,
    read_photo,
    write_photo,
)
from clearair.image.formats import FOREIGN_SUFFIXES, HEAD_BYTES, sniff

Process = Callable[[Photo], tuple[Photo, dict[str, Any]]]
"""Restores one photo, and says what was found in it as plain values for JSON."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A picture to restore."""

    path: Path
    relative: Path
    """Its place below the folder or glob it was found through; the bare name of a file named itself."""


@dataclass(frozen=True)
class Job:
    """One picture and the file its restoration goes to; the suffix of `target` is its format."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Record:
    """What became of one file."""

    input: str
    output: str | None
    """None when nothing was written."""
    width: int | None = None
    height: int | None = None
    """Upright size in pixels; None when the picture was not read."""
    seconds: float = 0.0
    """Spent on reading, restoring and writing it."""
    found: dict[str, Any] = field(default_factory=dict)
    """What `Process` reported: quality score, degradations, regions."""
    error: str | None = None
    skipped: bool = False
    """Whether the output was there already and the run was to resume."""
    notes: tuple[str, ...] = ()
    """What was converted or left out on the way."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "seconds": round(self.seconds, 3), "notes": list(self.notes)}


def find_images(
    paths: Sequence[Path | str], *, suffix: str = ".restored", out: Path | None = None
) -> list[Source]:
    """Collect the pictures that files, folders and glob patterns name, each once, in a stable order.

    Folders are searched recursively for known suffixes, without hidden files, earlier restorations
    (`*.restored.*`) and the output folder `out`. A file named itself is taken whatever its suffix, also when
    it does not exist (its record will say so), except for the restoration of another one in the list, as a
    shell's `*.jpg` brings. Raises UsageError for a folder or pattern without pictures.
    """
    found: list[Source] = []
    for given in paths:
        path = Path(given)
        if _is_folder(path):
            found += _search_folder(path, suffix, out)
        elif not os.path.lexists(path) and glob.has_magic(str(given)):
            found += _search_pattern(str(given), suffix, out)
        else:
            found.append(Source(path, Path(path.name)))
    first: dict[Path, Source] = {}
    for source in found:
        first.setdefault(_real(source.path), source)
    unique = list(first.values())
    originals = {(_real(source.path.parent), source.path.stem) for source in unique}
    return [source for source in unique if _original_of(source.path, suffix) not in originals]


def plan_outputs(
    sources: Sequence[Source],
    out: Path | None = None,
    *,
    suffix: str = ".restored",
    format: str | None = None,
) -> list[Job]:
    """Give every picture its own output file.

    `photo.jpg` becomes `photo.restored.jpg` beside it, or `photo.jpg` at the same relative place below `out`;
    `out` with a picture's suffix is the file for a single picture. `format` is a format or a suffix ("jpeg",
    "jpg"). Raises UsageError when two pictures would share an output, or an output is itself an input.
    """
    kind = None if format is None else _format_named(format)
    if os.sep in suffix or (os.altsep and os.altsep in suffix):
        raise UsageError(f"--suffix {suffix}: a suffix is part of a file name; use -o for another folder.")
    if out is not None and _is_picture_name(out) and not _is_folder(out):
        jobs = [_single_job(sources, out, kind)]
    else:
        jobs = [Job(source.path, _target(source, out, suffix, kind)) for source in sources]
    _refuse_clashes(jobs)
    return jobs


def run(
    jobs: Sequence[Job],
    process: Process,
    *,
    overwrite: bool = False,
    resume: bool = False,
    strip_metadata: bool = False,
    quality: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    on_start: Callable[[Job], None] | None = None,
    on_done: Callable[[Record], None] | None = None,
) -> Iterator[Record]:
    """Restore every job in order and yield its record; a failing file is recorded and the rest go on.

    An output that exists is an error, with `overwrite` replaced, with `resume` skipped. While `process` works
    in the caller's thread, one thread reads the next picture and one writes the last, so three are in memory
    at most.

    A record is yielded once its file is written, which is after the next one was restored; `on_done` gets it
    at once, from the thread that wrote. `on_start` is called before `process`. When the iteration is broken
    off, a write under way is finished.
    """
    if overwrite and resume:
        raise UsageError("--overwrite and --resume contradict each other: redo what is there, or skip it?")

    def read(job: Job) -> _Step:
        return _guarded(_Step(job), lambda step: _read(step, overwrite, resume, max_pixels))

    def write(step: _Step) -> Record:
        step = _guarded(step, lambda step: _write(step, overwrite, strip_metadata, quality))
        record = step.record()
        if on_done:
            on_done(record)
        return record

    def restore(step: _Step) -> _Step:
        if step.photo is None:
            return step
        if on_start:
            on_start(step.job)
        return _guarded(step, lambda step: _restore(step, process))

    return _pipeline(jobs, read, restore, write)


@dataclass
class _Step:
    """A job on its way, filled from stage to stage."""

    job: Job
    photo: Photo | None = None
    size: tuple[int, int] | None = None
    seconds: float = 0.0
    found: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str | None = None
    skipped: bool = False
    written: bool = False

    def record(self) -> Record:
        width, height = self.size or (None, None)
        output = str(self.job.target) if self.written or self.skipped else None
        return Record(
            input=str(self.job.source),
            output=output,
            width=width,
            height=height,
            seconds=self.seconds,
            found=self.found,
            error=self.error,
            skipped=self.skipped,
            notes=self.notes,
        )


def _pipeline(
    jobs: Sequence[Job],
    read: Callable[[Job], _Step],
    restore: Callable[[_Step], _Step],
    write: Callable[[_Step], Record],
) -> Iterator[Record]:
    reader, writer = ThreadPoolExecutor(1, "clearair-read"), ThreadPoolExecutor(1, "clearair-write")
    try:
        coming: Future[_Step] | None = reader.submit(read, jobs[0]) if jobs else None
        leaving: Future[Record] | None = None
        for following in [*jobs[1:], None]:
            if coming is None:
                return
            step = coming.result()
            coming = reader.submit(read, following) if following else None
            step = restore(step)
            if leaving is not None:
                yield leaving.result()
            leaving = writer.submit(write, step)
            del step  # the writer has it; a second reference would keep its pixels until the next one comes
        if leaving is not None:
            yield leaving.result()
    finally:
        reader.shutdown(cancel_futures=True)
        writer.shutdown()


def _guarded(step: _Step, stage: Callable[[_Step], None]) -> _Step:
    """Run one stage; what goes wrong with one file ends in its record."""
    start = time.perf_counter()
    try:
        stage(step)
    except ClearAirError as error:
        step.error = str(error)
    except MemoryError:
        step.error = f"{step.job.source}: not enough memory; try a smaller --tile."
    except Exception as error:
        _log.exception("%s: unexpected error", step.job.source)
        step.error = f"{step.job.source}: unexpected {type(error).__name__}: {error}"
    if step.error is not None:
        step.photo = None
    step.seconds += time.perf_counter() - start
    return step


def _read(step: _Step, overwrite: bool, resume: bool, max_pixels: int) -> None:
    target = step.job.target
    if not overwrite and exists(target):
        if not resume:
            raise OutputError(f"{target}: exists already; --overwrite replaces it, --resume skips it.")
        step.skipped = True
        return
    _refuse_unwritable(target)
    step.photo = read_photo(step.job.source, max_pixels=max_pixels)
    step.size, step.notes = step.photo.size, step.photo.notes


def _restore(step: _Step, process: Process) -> None:
    if step.photo is not None:
        step.photo, step.found = process(step.photo)


def _write(step: _Step, overwrite: bool, strip_metadata: bool, quality: int | None) -> None:
    if step.photo is None:
        return
    target = step.job.target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{target.parent}: the folder cannot be made: {error.strerror}.") from error
    step.notes += write_photo(
        step.photo, target, overwrite=overwrite, strip_metadata=strip_metadata, quality=quality
    )
    step.photo, step.written = None, True


def _refuse_unwritable(target: Path) -> None:
    """Find out before minutes of work, not after, that the result has no place."""
    place = next(parent for parent in target.absolute().parents if exists(parent))
    if not place.is_dir():
        raise OutputError(f"{target}: cannot be written: {place} is a file, not a folder.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"{target}: cannot be written: no permission to write in {place}.")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # reading it will say why


def _real(path: Path) -> Path:
    """Follow all links; unlike Path.resolve, also where they run in circles."""
    return Path(os.path.realpath(path))


def _search_folder(folder: Path, suffix: str, out: Path | None) -> list[Source]:
    pictures = [path for path in _walk(folder, out) if format_of_suffix(path)]
    fresh = [path for path in pictures if not _is_restoration(path, suffix)]
    if not fresh:
        only = f"only earlier restorations (*{suffix}.*)" if pictures else "no pictures"
        raise UsageError(f"{folder}: {only} in this folder; pictures end in {', '.join(sorted(SUFFIXES))}.")
    return [Source(path, path.relative_to(folder)) for path in fresh]


def _walk(folder: Path, out: Path | None) -> Iterator[Path]:
    """Yield the files below `folder`, sorted, without hidden ones and without the output folder inside it."""
    skipped = _real(out) if out else None

    def refuse(error: OSError) -> None:
        raise UsageError(f"{error.filename}: this folder cannot be searched: {error.strerror}.") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        here = Path(place)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and _real(here / name) != skipped
        )
        yield from (here / name for name in sorted(files) if not name.startswith("."))


def _search_pattern(pattern: str, suffix: str, out: Path | None) -> list[Source]:
    parts = Path(pattern).parts
    fixed = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), parts))
    hidden = _real(out) if out else None
    found = [
        Source(match, match.relative_to(fixed))
        for match in sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207
        if match.is_file() and format_of_suffix(match) and not _is_restoration(match, suffix)
        if hidden is None or hidden not in _real(match).parents
    ]
    if not found:
        raise UsageError(f"{pattern}: matches no pictures.")
    return found


def _is_restoration(path: Path, suffix: str) -> bool:
    return bool(suffix) and path.stem.endswith(suffix)


def _original_of(path: Path, suffix: str) -> tuple[Path, str] | None:
    """The folder and stem of the picture that `path` is named as the restoration of."""
    if not _is_restoration(path, suffix):
        return None
    return _real(path.parent), path.stem.removesuffix(suffix)


def _format_named(name: str) -> str:
    lowered = name.lower().removeprefix(".")
    kind = lowered if lowered in FORMATS else SUFFIXES.get(f".{lowered}")
    if kind is None or not FORMATS[kind].writable:
        writable = ", ".join(each.name for each in FORMATS.values() if each.writable)
        raise UsageError(f"--format {name}: not a format that can be written; choose one of {writable}.")
    return kind


def _is_picture_name(path: Path) -> bool:
    """Whether `path` is meant as a picture, not as a folder; also one that cannot be written."""
    return path.suffix.lower() in SUFFIXES or path.suffix.lower() in FOREIGN_SUFFIXES


def _single_job(sources: Sequence[Source], out: Path, kind: str | None) -> Job:
    if len(sources) != 1:
        raise UsageError(f"-o {out}: one file for {len(sources)} pictures; name a folder.")
    if out.suffix.lower() not in WRITABLE_SUFFIXES:
        raise UsageError(
            f"-o {out}: this format cannot be written; use {', '.join(sorted(WRITABLE_SUFFIXES))}."
        )
    if kind is not None and format_of_suffix(out) != kind:
        raise UsageError(f"-o {out}: contradicts --format {kind}.")
    return Job(sources[0].path, out)


def _target(source: Source, out: Path | None, suffix: str, kind: str | None) -> Path:
    ending = _ending(source.path, kind)
    if out is not None:
        return out / source.relative.with_name(source.relative.stem + ending)
    return source.path.with_name(f"{source.path.stem}{suffix}{ending}")


def _ending(path: Path, kind: str | None) -> str:
    """Return the suffix of the output: the input's own, where that names the format to write."""
    own = format_of_suffix(path)
    kind = kind or output_format(own or _format_inside(path) or "png")
    return path.suffix if own == kind else FORMATS[kind].suffixes[0]


def _format_inside(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return sniff(file.read(HEAD_BYTES))
    except OSError:
        return None  # reading it will say why


def _refuse_clashes(jobs: Sequence[Job]) -> None:
    inputs = {_real(job.source) for job in jobs}
    owners: dict[Path, Path] = {}
    for job in jobs:
        target = _real(job.target)
        if target in inputs:
            raise UsageError(f"{job.target}: is an input itself. Choose another folder with -o, or --suffix.")
        if target in owners:
            raise UsageError(
                f"{owners[target]} and {job.source}: both would become {job.target}. Restore them apart."
            )
        owners[target] = job.source

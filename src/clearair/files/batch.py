"""One resumable pass over many files: read, restore, write, and a record of each."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from clearair.errors import ClearAirError, OutputError, UsageError
from clearair.files.outputs import Job, check_file, make_folder
from clearair.image import (
    DEFAULT_MAX_PIXELS,
    Photo,
    exists,
    format_of_suffix,
    read_photo,
    refuse_unfit,
    write_photo,
)
from clearair.memory import is_shortage
from clearair.outcome import Outcome

Process = Callable[[Photo], tuple[Photo, dict[str, Any], Outcome]]
"""Restores one photo, and says what was perceived in it as plain values for JSON, and what was done."""

_log = logging.getLogger(__name__)


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
    outcome: Outcome | None = None
    """What was found and what was done; None when it was not restored, or had been before."""
    error: str | None = None
    skipped: bool = False
    """Whether the output was there already and the run was to resume."""
    notes: tuple[str, ...] = ()
    """What was converted or left out on the way."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **asdict(self),
            "seconds": round(self.seconds, 3),
            "outcome": None if self.outcome is None else self.outcome.to_dict(),
            "notes": list(self.notes),
        }


def counted(records: Sequence[Record]) -> str:
    """Such as "12 photos: 9 restored, 2 left as they are, 1 failed"."""
    done = [record.outcome for record in records if record.error is None and record.outcome is not None]
    restored = sum(outcome.restored for outcome in done)
    left = len(done) - restored
    numbers = {
        "restored": restored,
        "left as it is" if left == 1 else "left as they are": left,
        "there already": sum(record.skipped for record in records),
        "failed": sum(record.error is not None for record in records),
    }
    counts = ", ".join(f"{number:,} {what}" for what, number in numbers.items() if number)
    return f"{len(records):,} photo{'' if len(records) == 1 else 's'}: {counts or 'nothing done'}"


def run(
    jobs: Sequence[Job],
    process: Process,
    *,
    overwrite: bool = False,
    resume: bool = False,
    strip_metadata: bool = False,
    quality: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    salvage: bool = False,
    on_start: Callable[[Job], None] | None = None,
    on_done: Callable[[Record], None] | None = None,
) -> Iterator[Record]:
    """Restore every job in order and yield its record; a failing file is recorded and the rest go on.

    An output that exists is an error, with `overwrite` replaced, with `resume` skipped. A damaged file is an
    error, unless `salvage` takes what can be decoded of it. While `process` works in the caller's thread, one
    thread reads the next picture and one writes the last, so three are in memory at most.

    A record is yielded once its file is written, which is after the next one was restored; `on_done` gets it
    at once, from the thread that wrote. `on_start` is called before `process`. When the iteration is broken
    off, a write under way is finished. What finds no memory beside other work is tried once more after it.
    """
    if overwrite and resume:
        raise UsageError("--overwrite and --resume contradict each other: redo what is there, or skip it?")

    def read(job: Job) -> _Step:
        return _guarded(_Step(job), lambda step: _read(step, overwrite, resume, max_pixels, salvage))

    def write(step: _Step, *, alone: bool = False) -> _Step:
        if step.error is None:
            step = _guarded(step, lambda step: _write(step, overwrite, strip_metadata, quality))
        if on_done and (alone or not step.short_of_memory):
            on_done(step.record())
        return step

    def restore(step: _Step) -> _Step:
        if step.photo is not None:
            if on_start:
                on_start(step.job)
            step = _guarded(step, lambda step: _restore(step, process))
        if step.error is not None:  # reading had its second try, restoring has tried smaller tiles
            step.photo, step.short_of_memory = None, False
        return step

    def finish(leaving: Future[_Step]) -> Record:
        step = leaving.result()
        if step.short_of_memory:
            step.error = None
            step = write(step, alone=True)
        return step.record()

    return _pipeline(jobs, read, restore, write, finish)


@dataclass
class _Step:
    """A job on its way, filled from stage to stage."""

    job: Job
    photo: Photo | None = None
    size: tuple[int, int] | None = None
    seconds: float = 0.0
    found: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None
    skipped: bool = False
    written: bool = False
    short_of_memory: bool = False
    """Whether the last stage failed for that; its photo is kept then, for another try."""

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
            outcome=self.outcome,
            error=self.error,
            skipped=self.skipped,
            notes=self.notes,
        )


def _pipeline(
    jobs: Sequence[Job],
    read: Callable[[Job], _Step],
    restore: Callable[[_Step], _Step],
    write: Callable[[_Step], _Step],
    finish: Callable[[Future[_Step]], Record],
) -> Iterator[Record]:
    reader, writer = _Worker("clearair-read"), _Worker("clearair-write")
    try:
        coming = reader.submit(read, jobs[0]) if jobs else None
        leaving: Future[_Step] | None = None
        for job, following in itertools.zip_longest(jobs, jobs[1:]):
            if coming is None:
                return
            step = coming.result()
            if step.short_of_memory:
                if leaving is not None:
                    yield finish(leaving)
                    leaving = None
                step = read(job)
            coming = reader.submit(read, following) if following else None
            step = restore(step)
            if leaving is not None:
                yield finish(leaving)
            leaving = writer.submit(write, step)
            del step  # the writer has it; a second reference would keep its pixels until the next one comes
        if leaving is not None:
            yield finish(leaving)
    finally:
        reader.shutdown(give_up=True)
        writer.shutdown()


class _Worker:
    """A thread that works for its owner; where memory is too short for a thread, the owner works himself."""

    def __init__(self, name: str) -> None:
        self._pool: ThreadPoolExecutor | None = ThreadPoolExecutor(1, name)
        try:
            self._pool.submit(int)  # starts the thread
        except RuntimeError:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def submit(self, work: Callable[[Any], _Step], item: Any) -> Future[_Step]:
        if self._pool is not None:
            return self._pool.submit(work, item)
        done: Future[_Step] = Future()
        done.set_result(work(item))
        return done

    def shutdown(self, *, give_up: bool = False) -> None:
        """Finish what was submitted; what has not begun may be given up."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=give_up)


def _guarded(step: _Step, stage: Callable[[_Step], None]) -> _Step:
    """Run one stage; what goes wrong with one file ends in its record."""
    start = time.perf_counter()
    step.short_of_memory = False
    try:
        stage(step)
    except Exception as error:
        if isinstance(error, ClearAirError):
            step.short_of_memory = isinstance(error, MemoryError)
            step.error = str(error)
        elif is_shortage(error):
            step.short_of_memory = True
            step.error = f"{step.job.source}: there is not enough memory for it."
        else:
            _log.exception("%s: unexpected error", step.job.source)
            step.error = f"{step.job.source}: unexpected {type(error).__name__}: {error}"
    if step.error is not None and not step.short_of_memory:
        step.photo = None
    step.seconds += time.perf_counter() - start
    return step


def _read(step: _Step, overwrite: bool, resume: bool, max_pixels: int, salvage: bool) -> None:
    target = step.job.target
    if step.job.problem is not None:
        step.error = step.job.problem
        return
    if not overwrite and exists(target):
        if not resume:
            raise OutputError(f"{target}: exists already; --overwrite replaces it, --resume skips it.")
        step.skipped = True
        return
    check_file(target, inputs=[step.job.source], overwrite=overwrite, make_folder=True)
    photo = read_photo(step.job.source, max_pixels=max_pixels, salvage=salvage)
    step.size, step.notes = photo.size, photo.notes
    refuse_unfit(photo, format_of_suffix(target) or photo.format, str(target))
    step.photo = photo


def _restore(step: _Step, process: Process) -> None:
    if step.photo is not None:
        step.photo, step.found, step.outcome = process(step.photo)
        step.notes = step.photo.notes


def _write(step: _Step, overwrite: bool, strip_metadata: bool, quality: int | None) -> None:
    if step.photo is None:
        return
    target = step.job.target
    make_folder(target.parent)
    step.notes += write_photo(
        step.photo, target, overwrite=overwrite, strip_metadata=strip_metadata, quality=quality
    )
    step.photo, step.written = None, True

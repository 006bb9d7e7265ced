"""The stages of one picture in a batch: read, restore and write, with their errors."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypedDict

from clearair.budget import ClosedError, Gate
from clearair.errors import ClearAirError, ExistsError, ImageError, ModelError
from clearair.files.outputs import Job, check_file
from clearair.files.record import Record
from clearair.files.saving import save
from clearair.image import (
    Photo,
    Quality,
    fetch,
    format_of_suffix,
    holdings,
    read_photo,
    refuse_unfit,
)
from clearair.memory import is_shortage
from clearair.outcome import Outcome
from clearair.placing import exists, make_folder
from clearair.stores import Address, Content, until

_log = logging.getLogger(__name__)

Process = Callable[[Photo], tuple[Photo, dict[str, Any], Outcome]]
"""Restores one photo, and returns its percepts as plain values for JSON, and what was done."""


class Writing(TypedDict, total=False):
    """How all results of a run are written."""

    format: str | None
    """The one that was asked for; None for that of each file's suffix."""
    strip_metadata: bool
    """Drop EXIF, XMP and all else that is not needed to show a picture."""
    quality: Quality | None
    """Quality of lossy formats, 1 to 100, one for all or by format."""
    preserve_times: bool
    """Give results the modification time of their inputs; unchanged photos have it in any case."""


Cost = Callable[[int, int, int], int]
"""Bytes that a picture of this width, height and bytes a pixel takes; raises ImageError for too many."""


class Ledger(Protocol):
    """Is notified of each step of a picture before the step, by the thread that takes it."""

    def claim(self, job: Job, given: Path | Content) -> None:
        """The picture is about to be read, from its file or fetched bytes. Raises ImageError if it cannot
        be."""

    def check(self, job: Job, photo: Photo) -> None:
        """It was read. Raises ImageError when its file is not the one that was claimed."""

    def written(self, job: Job, part: Path) -> None:
        """Its result is complete in a file that gets its name next."""


class StoppedError(BaseException):
    """The run was interrupted; threads that still restore a picture raise this to stop."""


@dataclass(frozen=True)
class Together:
    """How many pictures are restored at once, and how much memory they share."""

    jobs: int = 1
    """Number of pictures restored at once; a single one runs in the caller's thread."""
    cost: Cost | None = None
    room: int | None = None
    """Bytes for all pictures; None = without limit. A single picture is always admitted."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the run is interrupted."""


@dataclass(frozen=True)
class Choices:
    """How pictures of a run are read and written."""

    overwrite: bool
    resume: bool
    max_pixels: int
    salvage: bool
    writing: Writing
    ledger: Ledger | None


class Stages:
    """The stages of a picture, and the end of the run."""

    def __init__(
        self,
        process: Process,
        choices: Choices,
        together: Together,
        on_start: Callable[[Job], None] | None,
        on_done: Callable[[Record], None] | None,
    ) -> None:
        self._process = process
        self._choices = choices
        self._together = together
        self._on_start = on_start
        self._on_done = on_done
        self._gate = Gate(together.room)

    def read(self, job: Job) -> Step:
        """Decode it once there is room for it."""
        chosen, door = self._choices, _Door(self._gate, self._together.cost, job)
        return self._leaving(_guarded(Step(job), lambda step: _read(step, door, chosen, self._together.stop)))

    def restore(self, step: Step) -> Step:
        """Restore what was decoded."""
        if step.photo is not None:
            if self._on_start:
                self._on_start(step.job)
            step = _guarded(step, lambda step: _restore(step, self._process, self._choices.resume))
        if step.error is not None:  # reading was already retried, and restoring has tried smaller tiles
            step.photo, step.short_of_memory = None, False
        return self._leaving(step)

    def write(self, step: Step, *, alone: bool = False) -> Step:
        """Write the restored picture; `alone` when nothing else is in progress."""
        chosen = self._choices
        if step.error is None:
            step = _guarded(step, lambda step: _write(step, chosen))
        if self._on_done and (alone or not step.short_of_memory):
            self._on_done(step.record())
        return self._leaving(step)

    def finish(self, leaving: Future[Step]) -> Record:
        """The record after writing; a write that ran out of memory is retried."""
        step = leaving.result()
        if step.short_of_memory:
            step.error = None
            step = self.write(step, alone=True)
        return step.record()

    def stop(self) -> None:
        """Admit no more pictures, and stop those in progress."""
        self._together.stop.set()
        self._gate.close()

    def _leaving(self, step: Step) -> Step:
        if step.photo is None or step.short_of_memory:
            self._gate.leave(step.job)
        return step


@dataclass(frozen=True)
class _Door:
    """Holds one picture until there is memory for it."""

    gate: Gate
    cost: Cost | None
    job: Job

    def read(self, given: Path | Content, max_pixels: int, salvage: bool) -> Photo:
        """Read its photo; if it does not fit yet, it is read again once it does."""
        held = len(given.data) if isinstance(given, Content) else 0

        def check(width: int, height: int, pixel_bytes: int) -> None:
            if self.cost is None:
                return
            try:
                cost = self.cost(width, height, pixel_bytes) + held
            except ImageError as error:
                raise ImageError(f"{self.job.source}: {error}") from error
            if not self.gate.try_enter(self.job, cost):
                raise _FullError(cost)

        try:
            return read_photo(given, max_pixels=max_pixels, salvage=salvage, check_size=check)
        except _FullError as full:
            cost = full.cost
        try:
            self.gate.enter(self.job, cost)  # outside the decoder's lock, which others need
        except ClosedError as error:
            raise StoppedError from error
        return read_photo(given, max_pixels=max_pixels, salvage=salvage)


class _FullError(Exception):
    """There is no memory for a picture yet."""

    def __init__(self, cost: int) -> None:
        super().__init__(cost)
        self.cost = cost


@dataclass
class Step:
    """A job on its way, filled from stage to stage."""

    job: Job
    photo: Photo | None = None
    size: tuple[int, int] | None = None
    seconds: float = 0.0
    percepts: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome | None = None
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    error: str | None = None
    skipped: bool = False
    written: bool = False
    short_of_memory: bool = False
    """Whether the last stage ran out of memory; its photo is then kept for another try."""

    def skip(self) -> None:
        """Its output already exists."""
        self.photo, self.percepts, self.outcome, self.notes = None, {}, None, ()
        self.skipped = True

    def record(self) -> Record:
        """The record of the job."""
        width, height = self.size or (None, None)
        output = str(self.job.target) if self.written or self.skipped else None
        return Record(
            input=str(self.job.source),
            output=output,
            width=width,
            height=height,
            seconds=self.seconds,
            percepts=self.percepts,
            outcome=self.outcome,
            error=self.error,
            skipped=self.skipped,
            notes=self.notes,
            left_out=self.left_out,
        )


def _guarded(step: Step, stage: Callable[[Step], None]) -> Step:
    """Run one stage; an error with one file is stored in its record. Raises ModelError."""
    start = time.perf_counter()
    step.short_of_memory = False
    try:
        stage(step)
    except ModelError:
        raise  # all other files would fail as well
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


def _read(step: Step, door: _Door, chosen: Choices, stop: threading.Event) -> None:
    with until(stop):
        _read_from_its_place(step, door, chosen)


def _read_from_its_place(step: Step, door: _Door, chosen: Choices) -> None:
    target, overwrite, resume, ledger = step.job.target, chosen.overwrite, chosen.resume, chosen.ledger
    if step.job.problem is not None:
        step.error = step.job.problem
        return
    if not overwrite and exists(target):
        if not resume:
            raise ExistsError(f"{target}: exists already; overwrite=True replaces it, resume=True skips it.")
        step.skip()
        return
    try:
        check_file(target, inputs=[step.job.source], overwrite=overwrite, make_folder=True)
    except ExistsError:
        if not resume:
            raise
        step.skip()  # another run was faster
        return
    source = step.job.source
    given = fetch(source, chosen.max_pixels) if isinstance(source, Address) else source
    if ledger is not None:
        ledger.claim(step.job, given)
    photo = door.read(given, chosen.max_pixels, chosen.salvage)
    if ledger is not None:
        ledger.check(step.job, photo)
    step.size, step.notes = photo.size, photo.notes
    refuse_unfit(photo, format_of_suffix(target) or photo.format, str(target))
    step.photo = photo


def _restore(step: Step, process: Process, resume: bool) -> None:
    if step.photo is None:
        return
    if resume and exists(step.job.target):
        step.skip()  # by another run, since it was read
        return
    step.photo, step.percepts, step.outcome = process(step.photo)
    step.notes = step.photo.notes


def _write(step: Step, chosen: Choices) -> None:
    writing, ledger = chosen.writing, chosen.ledger
    if step.photo is None or step.outcome is None:
        return
    target = step.job.target
    make_folder(target.parent)
    changed = step.outcome.changed is not False
    try:
        step.notes = save(
            step.photo,
            target,
            changed=changed,
            overwrite=chosen.overwrite,
            on_written=None if ledger is None else partial(ledger.written, step.job),
            **writing,
        )
    except ExistsError:
        if not chosen.resume:
            raise
        step.skip()  # another run was faster
        return
    if step.notes:  # a copy has none, and everything that is left out is in them
        kind = format_of_suffix(target) or step.photo.format
        strip = writing.get("strip_metadata", False)
        step.left_out = holdings(step.photo, kind, strip_metadata=strip).left_out
    step.photo, step.written = None, True

"""One resumable pass over many files: read, restore, write, and a record of each."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar, Unpack

from clearair.errors import UsageError
from clearair.files.history import note_results, note_suffix
from clearair.files.outputs import Job
from clearair.files.planning import Plan
from clearair.files.record import Record
from clearair.files.stages import Choices, Ledger, Process, Stages, Step, Together, Writing
from clearair.files.watcher import Watcher
from clearair.image import DEFAULT_MAX_PIXELS, check_quality
from clearair.stores import Place, place_of

Item = TypeVar("Item")
Done = TypeVar("Done")


def run_plan(
    plan: Plan,
    process: Process,
    *,
    watcher: Watcher | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    salvage: bool = False,
    together: Together | None = None,
    ledger: Ledger | None = None,
    **writing: Unpack[Writing],
) -> Generator[Record, None, None]:
    """Run a plan, as `run` does, and write its report, even if the run is interrupted."""
    watcher = watcher or Watcher()
    done: list[Record] = []
    noted: set[Place] = set()

    def finish(record: Record) -> None:
        if record.output is not None and not record.skipped:
            _note(plan, place_of(record.output).parent, noted)
        done.append(record)
        watcher.finish(record)

    records = run(
        plan.jobs,
        process,
        overwrite=plan.overwrite,
        resume=plan.resume,
        max_pixels=max_pixels,
        salvage=salvage,
        on_start=watcher.start,
        on_done=finish,
        together=together,
        ledger=ledger,
        **writing,
    )
    try:
        yield from records
    finally:
        records.close()  # finishes the current write
        if plan.report is not None:
            named = {record.input for record in done}
            plan.report.write(done, [job for job in plan.jobs if str(job.source) not in named])


def _note(plan: Plan, folder: Place, noted: set[Place]) -> None:
    """Record once in a folder how later runs recognise the results in it."""
    place = plan.out or folder
    if place in noted:
        return
    noted.add(place)
    if plan.out is None and plan.suffix:
        note_suffix(place, plan.suffix)
    elif plan.out is not None and plan.found_again:
        note_results(place)


def run(
    jobs: Sequence[Job],
    process: Process,
    *,
    overwrite: bool = False,
    resume: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    salvage: bool = False,
    on_start: Callable[[Job], None] | None = None,
    on_done: Callable[[Record], None] | None = None,
    together: Together | None = None,
    ledger: Ledger | None = None,
    **writing: Unpack[Writing],
) -> Generator[Record, None, None]:
    """Restore every job in order and yield its record; a failing file is recorded and the rest go on.

    An output that exists is an error, with `overwrite` replaced, with `resume` skipped, also when another run
    writes it meanwhile. A damaged file is an error, unless `salvage` takes what can be decoded of it. While
    `process` works in the caller's thread, one thread reads the next picture and one writes the last, so
    three are in memory at most. With more `together.jobs`, `process` and `on_start` are called from as many
    threads. A picture is decoded once there is room for it in memory.

    A record is yielded once its file is written, which is after the next one was restored; `on_done` gets it
    at once, from the thread that wrote. `on_start` is called before `process`. When the iteration is
    interrupted, a write in progress is finished. A picture that runs out of memory beside other work is
    retried afterwards. `ledger` is notified of each step.
    """
    check_quality(writing.get("quality"))
    if overwrite and resume:
        raise UsageError(
            "overwrite=True and resume=True contradict each other: redo what is there, or skip it?"
        )

    together = together or Together()
    choices = Choices(overwrite, resume, max_pixels, salvage, writing, ledger)
    stages = Stages(process, choices, together, on_start, on_done)
    at_once = min(together.jobs, len(jobs))
    return _pipeline(jobs, stages) if at_once < 2 else _side_by_side(jobs, stages, at_once)


def _pipeline(jobs: Sequence[Job], stages: Stages) -> Generator[Record, None, None]:
    read, finish = stages.read, stages.finish
    reader, writer = _Worker("clearair-read"), _Worker("clearair-write")
    try:
        coming = reader.submit(read, jobs[0]) if jobs else None
        leaving: Future[Step] | None = None
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
            step = stages.restore(step)
            if leaving is not None:
                yield finish(leaving)
            leaving = writer.submit(stages.write, step)
            del step  # the writer has it; a second reference would keep its pixels until the next one comes
        if leaving is not None:
            yield finish(leaving)
    finally:
        stages.stop()
        reader.shutdown(give_up=True)
        writer.shutdown()


def _side_by_side(jobs: Sequence[Job], stages: Stages, at_once: int) -> Generator[Record, None, None]:
    """Restore several at once, each in a thread, and yield records in the order of the jobs."""
    reader, writer = _Worker("clearair-read"), _Worker("clearair-write")
    restorers = _Worker("clearair-restore", at_once)
    flying: deque[Future[Future[Step]]] = deque()

    def restore_and_write(coming: Future[Step]) -> Future[Step]:
        step = coming.result()
        if step.short_of_memory:
            return coming
        return writer.submit(stages.write, stages.restore(step))

    def land() -> Record:
        leaving = flying.popleft().result()
        step = leaving.result()
        if step.short_of_memory:
            for other in flying:
                wait([other.result()])
            if step.photo is None:
                step = stages.restore(stages.read(step.job))
                return stages.write(step, alone=True).record()
        return stages.finish(leaving)

    try:
        for job in jobs:
            coming = reader.submit(stages.read, job)
            flying.append(restorers.submit(restore_and_write, coming))
            if len(flying) > at_once + 1:
                yield land()
        while flying:
            yield land()
    finally:
        stages.stop()
        reader.shutdown(give_up=True)
        restorers.shutdown(give_up=True)
        writer.shutdown()


class _Worker:
    """A thread pool; if memory is too short for threads, the calling thread does the work."""

    def __init__(self, name: str, threads: int = 1) -> None:
        self._pool: ThreadPoolExecutor | None = ThreadPoolExecutor(threads, name)
        begun = threading.Barrier(threads + 1)
        try:
            for _ in range(threads):
                self._pool.submit(begun.wait)  # each starts a thread, as none is idle
        except RuntimeError:
            begun.abort()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        else:
            begun.wait()

    def submit(self, work: Callable[[Item], Done], item: Item) -> Future[Done]:
        if self._pool is not None:
            return self._pool.submit(work, item)
        done: Future[Done] = Future()
        done.set_result(work(item))
        return done

    def shutdown(self, *, give_up: bool = False) -> None:
        """Finish submitted work; work that has not started may be dropped."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=give_up)

"""The service behind the routes: accepts pictures, has them processed, and keeps the results."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

from starlette.requests import Request

from clearair.apps.server.jobs import PREVIEWS, Job, Line, Pace, Status, Table
from clearair.apps.server.metrics import Metrics
from clearair.apps.server.pool import LateError, OverrunError, Worker
from clearair.apps.server.problems import ProblemError
from clearair.apps.server.protocol import most_files
from clearair.apps.server.settings import Settings
from clearair.apps.server.uploads import check_headers, drain, receive, spool_file
from clearair.errors import UsageError
from clearair.graphs import usable_cores
from clearair.perception.telling import check_kinds, parse_damage

Done = TypeVar("Done")

KEY_VARIABLE = "CLEARAIR_API_KEY"
"""Environment variable with the API key, which is hidden from workers."""
_LOOKING = 4
"""Seconds on the CPU that the header of a picture may take."""
_LOOKING_AT_MOST = 30.0
"""Seconds by the clock, which pass faster on a busy machine."""
_LOOKING_MEMORY = 1 << 30
"""Bytes of addresses for it."""
_FETCHING = 5.0
"""Seconds that polling clients have to fetch results while the server shuts down."""
_STOPPING = 10.0
"""Seconds that workers have to stop their tasks before they are killed."""
_WATCH = 1.0
"""Seconds between two looks for workers that have ended."""
_SWEEP = 5.0
"""Seconds between two looks for results whose time is over."""

_log = logging.getLogger(__name__)


class Service:
    """A running server, without its HTTP."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(self)
        self.line = Line(settings.limits.queue)
        limits = settings.limits
        self.table = Table(limits.keep_seconds, limits.keep_bytes, keep_files=most_files() // 3)
        self.ending = asyncio.Event()
        """Set once the server is asked to shut down."""
        self.running: set[Job] = set()
        self.kinds: tuple[str, ...] = ()
        self._pace = Pace()
        hidden = (KEY_VARIABLE,)
        count = settings.worker_count
        work = {
            "work": "restore",
            "model": settings.model,
            "loading": settings.loading,
            "pixels": settings.limits.pixels,
            "threads": max(1, usable_cores() // count),
        }
        self.workers = [Worker(work, hidden) for _ in range(count)]
        self._lookers = [Worker({"work": "look", "memory": _LOOKING_MEMORY}, hidden) for _ in range(2)]
        self._free: asyncio.Queue[Worker] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load the models. Raises ClearAirError when they cannot be."""
        try:
            await asyncio.gather(*(worker.start() for worker in (*self.workers, *self._lookers)))
        except BaseException:
            await self._kill()
            raise
        self.kinds = self.workers[0].kinds
        self._tasks = [asyncio.create_task(self._consume(worker)) for worker in self.workers]
        self._tasks += [asyncio.create_task(self._sweep()), asyncio.create_task(self._watch())]
        for looker in self._lookers:
            self._free.put_nowait(looker)

    async def stop(self, *, at_once: bool = False) -> None:
        """End everything and delete all results; with `at_once`, without waiting."""
        self.drain()
        for task in self._tasks:
            task.cancel()
        if at_once:
            await self._kill()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOPPING)
        await self._kill()
        self.table.clear()

    def drain(self) -> None:
        """Accept no more pictures and refuse waiting ones; running jobs are finished."""
        self.ending.set()
        for job in self.line.clear():
            job.finish(Status.FAILED, ProblemError.of("not-ready"))

    async def wind_down(self, seconds: float) -> None:
        """Accept no more pictures, and wait until running jobs are done and results are fetched.

        Jobs that take longer than `seconds` are stopped, and answered like waiting ones.
        """
        self.drain()
        late = list(self.running)
        if late:
            await asyncio.wait([asyncio.create_task(job.end()) for job in late], timeout=seconds)
        for job in self.running:
            self._stop(job, Status.FAILED, ProblemError.of("not-ready"))
        with suppress(TimeoutError):
            async with asyncio.timeout(_FETCHING):
                while self.table.unfetched(seconds + 2 * _FETCHING):
                    await asyncio.sleep(0.05)

    @property
    def ready(self) -> bool:
        """Whether a new picture would be accepted."""
        return not self.ending.is_set() and any(worker.ready for worker in self.workers)

    async def accept(self, request: Request, operation: str, shown: dict[str, Any]) -> Job:
        """Accept a picture: check it, and put it in the queue.

        `shown` are the options of the request. Raises ProblemError for a refused picture, ClientDisconnect.
        """
        limits = self.settings.limits
        try:
            options = self._options(shown)
            check_headers(request, limits)
            with self._place():
                upload = await self._before_end(receive(request, limits, self.settings.spool))
                try:
                    picture = await self._look(upload)
                    job = Job(operation, options, shown, upload, picture)
                    if operation == "restore":
                        names = ("result", *(PREVIEWS if options["previews"] else ()))
                        job.files = {name: spool_file(self.settings.spool) for name in names}
                except BaseException:
                    upload.close()
                    raise
                try:
                    self._check_room()
                except ProblemError:
                    job.finish(Status.FAILED)
                    raise
        except ProblemError:
            await drain(request, limits)
            raise
        self._set_deadline(job)
        self.line.put(job)
        return job

    async def _before_end(self, work: Coroutine[Any, Any, Done]) -> Done:
        """The result of the work. Raises ProblemError when the server shuts down first."""
        task, ending = asyncio.create_task(work), asyncio.create_task(self.ending.wait())
        try:
            await asyncio.wait((task, ending), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ProblemError.of("not-ready", headers={"Connection": "close"})
            return task.result()
        finally:
            task.cancel()
            ending.cancel()

    @contextmanager
    def _place(self) -> Iterator[None]:
        """A place for an upload, before it costs anything."""
        self._check_room()
        if self.line.busy:
            raise self._too_many()
        self.line.uploading += 1
        try:
            yield
        finally:
            self.line.uploading -= 1

    def _check_room(self) -> None:
        """Raise ProblemError when no job can be added."""
        if self.ending.is_set() or all(worker.broken for worker in self.workers):
            raise ProblemError.of("not-ready")
        if self.line.full:
            raise self._too_many()

    def _too_many(self) -> ProblemError:
        seconds = self._pace.wait(self.line.waiting, len(self.workers))
        return ProblemError.of("queue-full", seconds=seconds, headers={"Retry-After": str(seconds)})

    def _options(self, shown: dict[str, Any]) -> dict[str, Any]:
        """The options for a worker. Raises ProblemError for an unknown kind of damage."""
        try:
            said = parse_damage(shown.get("damage", "auto"))
            if said:
                check_kinds(said, self.kinds)
        except UsageError as error:
            raise ProblemError.of("bad-option", str(error)[:500]) from error
        chosen = {name: shown[name] for name in ("strength", "keep_tone", "skip_tiles") if name in shown}
        damage = "auto" if said is None else list(said) or "none"
        return {
            "restoring": {"damage": damage, **chosen},
            "format": shown.get("format"),
            "quality": shown.get("quality"),
            "strip_metadata": shown.get("metadata", "strip") == "strip",
            "salvage": shown.get("salvage", False),
            "previews": shown.get("previews", False),
        }

    async def _look(self, upload: Any) -> dict[str, Any]:
        """The content of the header, read by separate processes without waiting in the queue."""
        looker = await self._free.get()
        try:
            options = {"pixels": self.settings.limits.pixels, "seconds": _LOOKING}
            seen = await looker.run("look", options, [upload], seconds=_LOOKING_AT_MOST, grace=0)
        except OverrunError as error:
            raise ProblemError.of("bad-picture", "The header of the file takes too long to read.") from error
        except LateError as error:
            raise ProblemError.of("too-slow", seconds=_LOOKING_AT_MOST) from error
        finally:
            self._free.put_nowait(looker)
        return {"format": str(seen["format"]), "width": int(seen["width"]), "height": int(seen["height"])}

    def _set_deadline(self, job: Job) -> None:
        if job.timeout is None:
            return
        loop = asyncio.get_running_loop()
        job.deadline = loop.time() + job.timeout
        loop.call_later(job.timeout, self._give_up, job)

    def _give_up(self, job: Job) -> None:
        if job.status is Status.QUEUED:
            self.line.remove(job)
            job.finish(Status.FAILED, ProblemError.of("too-slow", seconds=job.timeout))

    def cancel(self, job: Job) -> None:
        """Stop an unfinished job; delete the result of a finished one."""
        if job.status is Status.DONE:
            job.forget()
            job.status = Status.DELETED
            job.tell()
        else:
            self._stop(job, Status.CANCELLED, ProblemError.of("cancelled"))

    def _stop(self, job: Job, status: Status, problem: ProblemError) -> None:
        """End a job that is not over yet."""
        if job.status is Status.QUEUED:
            self.line.remove(job)
            job.finish(status, problem)
        elif job.status is Status.RUNNING and job.task is not None:
            job.task.cancel()
            job.status, job.error, job.finished = status, problem, datetime.now(UTC)
            job.tell()

    def describe(self) -> dict[str, Any]:
        """The limits, as clients see them."""
        limits = asdict(self.settings.limits)
        return {name: limits[name] for name in ("bytes", "pixels", "seconds", "queue", "keep_seconds")}

    async def _consume(self, worker: Worker) -> None:
        while True:
            with suppress(ProblemError):  # at once, so that no picture waits for it
                await worker.revive()
            if worker.broken:
                continue
            job = await self.line.next()
            self.running.add(job)
            try:
                await self._work(worker, job)
            except Exception:
                _log.exception("a job could not be finished")
                job.finish(Status.FAILED, ProblemError.of("bug"))
            finally:
                self.running.discard(job)
                self.metrics.note_job(job)

    async def _work(self, worker: Worker, job: Job) -> None:
        loop, began = asyncio.get_running_loop(), time.monotonic()
        seconds = limit = self.settings.limits.seconds
        if job.deadline is not None and job.timeout is not None:
            left = max(0.01, job.deadline - loop.time())
            seconds, limit = min((seconds, limit), (left, job.timeout))
        job.status = Status.RUNNING
        job.tell()
        run = worker.run(
            job.operation,
            job.options,
            [job.upload, *job.files.values()],
            seconds=seconds,
            on_progress=job.show_progress,
        )
        job.task = asyncio.create_task(run)
        try:
            result = await job.task
        except ProblemError as problem:
            job.finish(Status.FAILED, problem)
            return
        except LateError:
            job.finish(Status.FAILED, ProblemError.of("too-slow", seconds=limit))
            return
        except asyncio.CancelledError:
            status = job.status if job.over else Status.CANCELLED
            job.finish(status, job.error or ProblemError.of("cancelled"))
            me = asyncio.current_task()
            if me is not None and me.cancelling():  # the server shuts down, whatever the client asked for
                raise
            return
        finally:
            job.task = None
        if job.over:  # cancelled after its last step, and the client has been told so
            job.finish(job.status, job.error)
            return
        took = self._pace.note(began)
        self._keep(job, {**result, "seconds": round(took, 3)})

    def _keep(self, job: Job, result: dict[str, Any]) -> None:
        previews = result.pop("previews", {})
        for name in [name for name in job.files if name != "result" and name not in previews]:
            job.files.pop(name).close()
        result["kept"] = int(result.get("bytes", 0)) + sum(int(size) for size in previews.values())
        job.result = result
        if self.table.find(job.id) is job:
            self.table.keep(job)
        job.finish(Status.DONE)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            self.table.sweep()

    async def _watch(self) -> None:
        """Restart workers that ended while they were idle."""
        while True:
            await asyncio.sleep(_WATCH)
            for worker in (*self.workers, *self._lookers):
                if not worker.ready:
                    with suppress(ProblemError):
                        await worker.revive()

    async def _kill(self) -> None:
        await asyncio.gather(*(worker.kill() for worker in (*self.workers, *self._lookers)))

"""Jobs, from the upload of a picture to the deletion of its result.

Everything runs in one event loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, BinaryIO

from clearair.apps.server.problems import ProblemError

_UPLOADS = 4
"""Simultaneous uploads for each place in the queue: a slow upload does not occupy a place."""
PREVIEWS = ("before", "after", "regions")
"""Previews that a job may have beside its result."""


class Status(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"
    """It was done, and its result was deleted on request."""
    EXPIRED = "expired"
    """It was done, and its result has expired."""


OVER = frozenset(Status) - {Status.QUEUED, Status.RUNNING}
"""Final states; after them only the result may be deleted."""


@dataclass(eq=False)
class Job:
    """One picture and the task for it."""

    operation: str
    """`restore` or `inspect`, as the worker calls it."""
    options: dict[str, Any]
    """The options for the worker."""
    shown: dict[str, Any]
    """The options as the client sent them."""
    upload: BinaryIO
    picture: dict[str, Any]
    """Format, width and height as the header says."""
    deadline: float | None = None
    """When `timeout` is over, by the event loop's clock."""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    status: Status = Status.QUEUED
    progress: tuple[int, int] | None = None
    """Tiles done, tiles in all."""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished: datetime | None = None
    expires: datetime | None = None
    result: dict[str, Any] | None = None
    error: ProblemError | None = None
    files: dict[str, BinaryIO] = field(default_factory=dict)
    """The result and its previews, by name."""
    fetched: bool = False
    """Whether the result was fetched."""
    task: asyncio.Task[dict[str, Any]] | None = None
    """The work, while it runs."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def timeout(self) -> float | None:
        """Seconds that the client waits; None = no limit but the server's."""
        return self.shown.get("timeout")

    @property
    def over(self) -> bool:
        """Whether the job has ended."""
        return self.status in OVER

    @property
    def size(self) -> int:
        """Bytes of the files that are kept of it."""
        return 0 if self.result is None else int(self.result.get("kept", 0))

    def tell(self) -> None:
        """Wake all who wait for a change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def change(self) -> None:
        """Wait until the job changes."""
        await self._changed.wait()

    async def end(self) -> None:
        """Wait until the job ends."""
        while not self.over:
            await self.change()

    def show_progress(self, done: int, total: int) -> None:
        """Record how many tiles are done."""
        self.progress = (done, total)
        self.tell()

    def finish(self, status: Status, error: ProblemError | None = None) -> None:
        """It is over."""
        self.status, self.error = status, error
        self.finished = datetime.now(UTC)
        self.close_upload()
        if status is not Status.DONE:
            self.forget()
        self.tell()

    def forget(self) -> None:
        """Delete the results; unnamed files disappear with their last descriptor."""
        for file in self.files.values():
            file.close()
        self.files, self.result, self.expires = {}, None, None

    def close_upload(self) -> None:
        """Delete the upload."""
        self.upload.close()

    def describe_absence(self, keep_seconds: float) -> ProblemError:
        """Why there is no result."""
        if self.status is Status.EXPIRED:
            return ProblemError.of("expired", seconds=round(keep_seconds))
        if self.status is Status.DELETED:
            return ProblemError.of("deleted")
        return self.error or ProblemError.of("unfinished", status=self.status.value)


class Line:
    """The queue: jobs in the order of arrival, and the number of uploads in progress."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: deque[Job] = deque()
        self._coming = asyncio.Event()
        self.uploading = 0

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return len(self._jobs)

    @property
    def full(self) -> bool:
        """Whether the queue is full."""
        return self.waiting >= self._most

    @property
    def busy(self) -> bool:
        """Whether no further upload is allowed; there may be several for each place in the queue."""
        return self.uploading >= _UPLOADS * self._most

    def put(self, job: Job) -> None:
        """Add a job at the end."""
        self._jobs.append(job)
        self._coming.set()

    def position(self, job: Job) -> int | None:
        """The number of jobs ahead of it; None when it does not wait."""
        with suppress(ValueError):
            return self._jobs.index(job)
        return None

    def remove(self, job: Job) -> None:
        """Remove a waiting job; any other job is left alone."""
        with suppress(ValueError):
            self._jobs.remove(job)

    def clear(self) -> list[Job]:
        """Remove all waiting jobs."""
        jobs = list(self._jobs)
        self._jobs.clear()
        return jobs

    async def next(self) -> Job:
        """Wait for the first job and remove it from the queue."""
        while not self._jobs:
            self._coming.clear()
            await self._coming.wait()
        return self._jobs.popleft()


class Table:
    """Jobs by name, kept for some time after their results are gone."""

    def __init__(
        self, keep_seconds: float, keep_bytes: int, *, keep_files: int = 2000, most: int = 2000
    ) -> None:
        self._keep = timedelta(seconds=keep_seconds)
        self._keep_bytes = keep_bytes
        self._keep_files = keep_files
        self._most = most
        self._jobs: dict[str, Job] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job) -> None:
        """Keep a job."""
        self._jobs[job.id] = job

    def find(self, name: str) -> Job | None:
        """The job of this name, or None."""
        job = self._jobs.get(name)
        if job is not None and job.expires is not None and job.expires <= datetime.now(UTC):
            _expire(job)
        return job

    def keep(self, job: Job) -> None:
        """Keep the result of a finished job until it expires, within the limits for all results."""
        job.expires = datetime.now(UTC) + self._keep
        kept = [other for other in self._jobs.values() if other.files and other is not job]
        room = self._keep_bytes - job.size - sum(other.size for other in kept)
        files = self._keep_files - len(job.files) - sum(len(other.files) for other in kept)
        for oldest in sorted(kept, key=lambda other: other.finished or other.created):
            if oldest.over and (room < 0 or files < 0):
                room += oldest.size
                files += len(oldest.files)
                _expire(oldest)

    def unfetched(self, seconds: float) -> list[Job]:
        """Jobs finished within the last `seconds` whose result has not been fetched."""
        since = datetime.now(UTC) - timedelta(seconds=seconds)
        return [
            job
            for job in self._jobs.values()
            if job.status is Status.DONE and not job.fetched and job.finished and job.finished > since
        ]

    def sweep(self) -> None:
        """Delete expired results and forget old jobs."""
        now = datetime.now(UTC)
        for job in list(self._jobs.values()):
            if job.expires is not None and job.expires <= now:
                _expire(job)
            elif job.over and not job.files and job.finished and job.finished + 2 * self._keep < now:
                del self._jobs[job.id]
        over = [job for job in self._jobs.values() if job.over]
        for job in over[: max(0, len(self._jobs) - self._most)]:
            job.forget()
            del self._jobs[job.id]

    def clear(self) -> None:
        """Delete everything."""
        for job in self._jobs.values():
            job.forget()
        self._jobs.clear()


def _expire(job: Job) -> None:
    job.forget()
    job.status = Status.EXPIRED
    job.tell()


class Pace:
    """Recent time per picture, from which `Retry-After` is computed."""

    def __init__(self) -> None:
        self._seconds = 2.0

    def note(self, began: float) -> float:
        """Record a finished picture that was started at this time of `time.monotonic`; the seconds it
        took."""
        took = time.monotonic() - began
        self._seconds += 0.2 * (took - self._seconds)
        return took

    def wait(self, before: int, workers: int) -> int:
        """Expected seconds until this many pictures are done, at least one."""
        return max(1, round(self._seconds * before / workers))

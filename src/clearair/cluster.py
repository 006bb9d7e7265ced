"""A run with a journal on Ray: actors restore, the driver alone writes the journal.

Only paths and records are sent. An actor loads the model once, reads each photo and writes the result under a
hidden name beside its target. The driver records the checksum in the journal and renames the file. All
machines must see the same folders or stores. For a store, the actor keeps the result in memory until the
driver has recorded it, and then writes the object.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from clearair.errors import ExistsError, MissingExtraError, ModelError, OutputError, UsageError
from clearair.files.journal import Entry, Journal, digest_of
from clearair.files.journaled import (
    Claimed,
    finish,
    put_right,
    refuse_changed,
    remove_parts,
    working_on,
)
from clearair.files.outputs import Job
from clearair.files.planning import Plan
from clearair.files.record import Record
from clearair.files.watcher import Watcher
from clearair.image import Photo
from clearair.placing import exists, move_into_place, part_name, write_atomically
from clearair.stores import Address, Content, Place, place_of

AUTO = "auto"
"""The cluster that this machine belongs to, else one of its own."""
_KEPT = Address("memory://results")
"""Where an actor keeps results for a store, in its own memory."""
_AHEAD = 2
"""Photos queued at each actor, so that it never waits for the driver."""
_AT_ONCE = 1000
"""Entries that are in memory."""
_PATIENCE = 60.0
"""Seconds that the driver waits for an actor before it checks whether it is alive."""

_CONNECTING = 10.0
"""Seconds in which a cluster must answer."""
_AUTH = "RAY_AUTH_MODE"
"""Ray's environment variable that says whether clients send a token."""
_UNLOADED = "error raised in its creation task"
"""Part of Ray's message about an actor that could not be created."""

_log = logging.getLogger(__name__)


@dataclass
class _Answer:
    """Report of an actor about a photo."""

    record: Record
    claimed: Claimed | None = None
    """What the photo was like; None when it was not read."""
    output: bytes | None = None
    """Checksum of the result; None when there is none."""


class _Notes:
    """Collects what the driver's journal must know about one photo; a `Ledger`."""

    def __init__(self) -> None:
        self.claimed: Claimed | None = None
        self.output: bytes | None = None

    def claim(self, job: Job, given: Path | Content) -> None:
        self.claimed = Claimed.of(job, given)

    def check(self, job: Job, photo: Photo) -> None:
        refuse_changed(job, photo, self.claimed.digest if self.claimed else None)

    def written(self, job: Job, part: Path) -> None:
        self.output = digest_of(part)


class Hands:
    """The worker of an actor; it runs on any machine of the cluster."""

    def __init__(self, loading: dict[str, Any], options: dict[str, Any], cores: int) -> None:
        from clearair.graphs import limit_cores
        from clearair.restorer import Restorer

        limit_cores(cores)
        self._restorer = Restorer.from_pretrained(**loading)
        self._options = options

    def restore(self, source: str, part: str, target: str, overwrite: bool) -> _Answer:
        """Restore a photo into `part`, unless `target` exists, which is checked first."""
        try:
            if not overwrite and exists(place_of(target)):
                raise ExistsError(f"{target}: exists already; overwrite=True replaces it.")
        except OutputError as error:
            return _Answer(Record(source, None, error=str(error)))
        notes = _Notes()
        plan = Plan((Job(place_of(source), place_of(part)),))
        try:
            (record,) = self._restorer.restore_many(plan, jobs=1, ledger=notes, **self._options)
        except ModelError as error:
            return _Answer(Record(source, None, error=str(error)))
        return _Answer(record, notes.claimed, notes.output if record.error is None else None)

    def publish(self, part: str, target: str, overwrite: bool) -> str | None:
        """Write a result held in memory as an object; returns the error, if any."""
        kept = Address(part)
        try:
            write_atomically(place_of(target), kept.read().data, overwrite=overwrite)
        except OutputError as error:
            return str(error)
        finally:
            kept.unlink(missing_ok=True)
        return None


@dataclass
class _Task:
    """A photo that an actor restores, or whose result it writes."""

    entry: Entry
    part: Place
    answer: _Answer | None = None
    """Report of the restoration, while the result is being written to a store."""


@dataclass
class _Actor:
    """An actor, and what it has to do."""

    handle: Any
    gpus: int
    tasks: dict[Any, _Task] = field(default_factory=dict)


class Cluster:
    """Actors of a Ray cluster that restore photos."""

    def __init__(
        self, address: str, loading: dict[str, Any], options: dict[str, Any], *, cores: int | None = None
    ) -> None:
        """`loading` and `options` are arguments of `Restorer.from_pretrained` and of `restore_many`.

        `cores` are those of an actor without a GPU, by default four, or all that there are. Raises
        MissingExtraError without Ray, UsageError for a cluster that cannot be reached.
        """
        self._ray = _connect(address)
        self._loading, self._options = loading, options
        have = self._ray.cluster_resources()
        self._cores = min(cores or 4, max(1, int(have.get("CPU", 1))))
        gpus = int(have.get("GPU", 0)) if _may_use_gpus(loading) else 0
        others = max(0 if gpus else 1, (int(have.get("CPU", 1)) - gpus) // self._cores)
        self.actors = [self._start(1) for _ in range(gpus)] + [self._start(0) for _ in range(others)]
        self.restarts = 0
        self._left: set[Place] = set()
        """Folders in which actors may have left something when they were lost."""

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def _start(self, gpus: int) -> _Actor:
        loading = dict(self._loading)
        cores = 1 if gpus else self._cores
        # With a GPU, "auto" stays: only the actor's machine knows whether its PyTorch can use it.
        if not gpus and loading.get("device", "auto") == "auto":
            loading["device"] = "cpu"
        kind = self._ray.remote(num_cpus=cores, num_gpus=gpus)(Hands)
        return _Actor(kind.remote(loading, self._options, cores), gpus)

    def run(self, journal: Journal, watcher: Watcher | None = None) -> Generator[Record, None, None]:
        """Restore the pending photos of a journal, and yield a record of each in the order of completion.

        If an actor is lost, others repeat its photos. Raises UsageError when another run works on the
        journal, OutputError when the disk is full.
        """
        watcher = watcher or Watcher()
        overwrite = bool(journal.options.get("overwrite"))
        with working_on(journal):
            try:
                while entries := self._next(journal):
                    yield from self._run(journal, entries, watcher, overwrite)
            finally:
                for folder in self._left:
                    remove_parts(folder)

    def _next(self, journal: Journal) -> deque[Entry]:
        """The next photos, while none is in progress."""
        put_right(journal)  # also what an actor was writing to a store when it was lost
        return deque(journal.next_open(_AT_ONCE))

    def _run(
        self, journal: Journal, entries: deque[Entry], watcher: Watcher, overwrite: bool
    ) -> Generator[Record, None, None]:
        try:
            while entries or any(actor.tasks for actor in self.actors):
                for actor in self.actors:
                    while entries and len(actor.tasks) < _AHEAD:
                        self._give(journal, actor, entries.popleft(), watcher, overwrite)
                for actor, handle in self._done():
                    task = actor.tasks.pop(handle)
                    record = self._advance(journal, actor, handle, task, overwrite)
                    if record is not None:
                        finish(journal, task.entry.id, record)
                        watcher.finish(record)
                        yield record
        finally:
            self._give_up(journal)

    def _give(self, journal: Journal, actor: _Actor, entry: Entry, watcher: Watcher, overwrite: bool) -> None:
        place = _KEPT / "result" if isinstance(entry.target, Address) else entry.target
        part = place.with_name(part_name(entry.target.suffix))
        journal.claim(entry.id, 0, 0, b"")
        watcher.start(entry.job)
        names = str(entry.source), str(part), str(entry.target)
        actor.tasks[actor.handle.restore.remote(*names, overwrite)] = _Task(entry, part)

    def _advance(
        self, journal: Journal, actor: _Actor, handle: Any, task: _Task, overwrite: bool
    ) -> Record | None:
        """Take the next step with a photo; its record, or None while it is unfinished."""
        entry, part = task.entry, task.part
        answer = self._answer_of(journal, actor, handle, task)
        if answer is None:
            return None
        if isinstance(answer, _Answer):
            if answer.claimed is not None:
                claimed = answer.claimed
                journal.note_input(entry.id, claimed.size, claimed.mark, claimed.digest)
            record = replace(answer.record, input=str(entry.source), output=None)
            if record.error is not None or answer.output is None:
                error = (record.error or "nothing was written").replace(str(part), str(entry.target))
                return replace(record, error=error)
            journal.note_result(entry.id, answer.output)
            if isinstance(entry.target, Address):
                handle = actor.handle.publish.remote(str(part), str(entry.target), overwrite)
                actor.tasks[handle] = _Task(entry, part, replace(answer, record=record))
                return None
            return _moved(part, entry.target, record, overwrite)
        assert task.answer is not None
        if answer:
            return replace(task.answer.record, error=answer)
        return replace(task.answer.record, output=str(entry.target))

    def _done(self) -> list[tuple[_Actor, Any]]:
        """Tasks that have ended, successfully or not."""
        owners = {task: actor for actor in self.actors for task in actor.tasks}
        ready, _ = self._ray.wait(list(owners), num_returns=1, timeout=_PATIENCE)
        return [(owners[task], task) for task in ready]

    def _answer_of(self, journal: Journal, actor: _Actor, handle: Any, task: _Task) -> _Answer | str | None:
        """The report of the actor; None when it was lost and the photo must be repeated."""
        entry = task.entry
        try:
            answer: _Answer | str | None = self._ray.get(handle)
        except self._ray.exceptions.RayActorError as error:
            self._requeue(journal, task)
            if _UNLOADED in str(error):
                raise UsageError(f"--cluster: an actor cannot load the model: {_last_line(error)}") from error
            self._replace(journal, actor)
            return None
        except self._ray.exceptions.RayTaskError as error:
            _log.exception("%s: unexpected error", entry.source)
            record = Record(str(entry.source), None, error=f"{entry.source}: unexpected: {_last_line(error)}")
            return _Answer(record)
        return "" if answer is None else answer

    def _replace(self, journal: Journal, actor: _Actor) -> None:
        """Replace a lost actor, and mark its photos to be repeated."""
        _log.warning("an actor was lost; another one is started")
        self._let_go(journal, actor)
        self.restarts += 1
        actor.handle = self._start(actor.gpus).handle

    def _let_go(self, journal: Journal, actor: _Actor) -> None:
        """Reset the photos of an actor to pending."""
        for task in actor.tasks.values():
            self._requeue(journal, task)
        actor.tasks.clear()

    def _requeue(self, journal: Journal, task: _Task) -> None:
        if task.answer is None:  # else only the store knows whether the result is there
            journal.requeue([task.entry.id])
        self._left.add(task.part.parent)

    def _give_up(self, journal: Journal) -> None:
        """Stop all tasks in progress."""
        for actor in self.actors:
            for task in actor.tasks:
                with suppress(Exception):
                    self._ray.cancel(task)
            self._let_go(journal, actor)


def _may_use_gpus(loading: dict[str, Any]) -> bool:
    """Whether models loaded with these options may use a GPU; ONNX Runtime does not."""
    return loading.get("device", "auto") in ("auto", "cuda") and loading.get("backend", "auto") != "onnx"


def _moved(part: Place, target: Path, record: Record, overwrite: bool) -> Record:
    """Rename the finished result of a photo; its record."""
    assert isinstance(part, Path)
    try:
        move_into_place(part, target, overwrite=overwrite)
    except OutputError as error:
        part.unlink(missing_ok=True)
        return replace(record, error=str(error))
    return replace(record, output=str(target))


def check_cluster(address: str) -> None:
    """Raise MissingExtraError without Ray, UsageError when nothing answers at HOST:PORT.

    Ray itself would go on trying for a quarter of an hour.
    """
    if find_spec("ray") is None:
        raise MissingExtraError("--cluster needs Ray: pip install 'clearair[cluster]'")
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # "auto", or something that Ray judges
    if len(port) > 5 or not 0 < int(port) < 1 << 16:
        raise UsageError(f"--cluster {address}: a port is a number from 1 to 65535.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECTING).close()
    except (OSError, UnicodeError) as error:  # a name may be none that can be looked up
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"--cluster {address}: cannot be reached: {reason}.") from error


def _connect(address: str) -> Any:
    check_cluster(address)
    # By default Ray reports its use and starts a dashboard.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == AUTO:
            ray.init(include_dashboard=False, **options)
        else:
            ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        hint = "" if _AUTH in os.environ else f" If the cluster uses token authentication, set {_AUTH}=token."
        raise UsageError(f"--cluster {address}: cannot be reached: {_last_line(error)}{hint}") from error
    return ray


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

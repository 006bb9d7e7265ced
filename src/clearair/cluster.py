"""A run with a journal on Ray: actors restore, the driver alone writes the journal.

Only paths and records travel. An actor loads the model once, reads the photo itself and writes the result
beside its place under a hidden name. The driver notes its checksum in the journal and gives it its name. All
machines see the same folders.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clearair.errors import MissingExtraError, OutputError, UsageError
from clearair.files.journal import Entry, Journal, digest_of
from clearair.files.journaled import finish, put_right, remove_parts, working_on
from clearair.files.outputs import Job
from clearair.files.planning import Plan
from clearair.files.record import Record
from clearair.files.watcher import Watcher
from clearair.image import move_into_place

AUTO = "auto"
"""The cluster that this machine belongs to, else one of its own."""
_AHEAD = 2
"""Photos that each actor has to do, so that it never waits for the driver."""
_AT_ONCE = 1000
"""Entries that are in memory."""
_PATIENCE = 60.0
"""Seconds that the driver waits for an actor before it looks whether it is alive."""

_UNLOADED = "error raised in its creation task"
"""What Ray says of an actor that could not be made."""

_log = logging.getLogger(__name__)


@dataclass
class _Answer:
    """What an actor says of a photo."""

    record: Record
    size: int
    modified: int
    input: bytes
    output: bytes | None
    """Checksum of the result; None when there is none."""


class Hands:
    """What an actor does; it runs on any machine of the cluster."""

    def __init__(self, loading: dict[str, Any], wish: dict[str, Any], cores: int) -> None:
        from clearair.graphs import limit_cores
        from clearair.restorer import Restorer

        limit_cores(cores)
        self._restorer = Restorer.from_pretrained(**loading)
        self._wish = wish

    def restore(self, source: str, part: str) -> _Answer:
        """Restore a photo into a hidden file."""
        place = Path(source)
        try:
            stat = place.stat()
            read = digest_of(place)
        except OSError as error:
            words = f"{place}: cannot be read: {error.strerror or error}."
            return _Answer(Record(source, None, error=words), 0, 0, b"", None)
        plan = Plan((Job(place, Path(part)),))
        (record,) = self._restorer.restore_many(plan, jobs=1, **self._wish)
        written = None
        if record.error is None:
            written = digest_of(Path(part))
            if _digest(place) != read:
                Path(part).unlink(missing_ok=True)
                words = f"{place}: was changed while it was read; restore it again."
                record, written = replace(record, error=words, output=None), None
        return _Answer(record, stat.st_size, stat.st_mtime_ns, read, written)


def _digest(path: Path) -> bytes | None:
    try:
        return digest_of(path)
    except OSError:
        return None


@dataclass
class _Actor:
    """An actor, and what it has to do."""

    handle: Any
    gpus: int
    tasks: dict[Any, tuple[Entry, Path]] = field(default_factory=dict)


class Cluster:
    """Actors of a Ray cluster that restore photos."""

    def __init__(
        self, address: str, loading: dict[str, Any], wish: dict[str, Any], *, cores: int | None = None
    ) -> None:
        """`loading` and `wish` are arguments of `Restorer.from_pretrained` and of `restore_many`.

        `cores` are those of an actor without a GPU, by default four, or all that there are. Raises
        MissingExtraError without Ray, UsageError for a cluster that cannot be reached.
        """
        self._ray = _connect(address)
        self._loading, self._wish = loading, wish
        have = self._ray.cluster_resources()
        self._cores = min(cores or 4, max(1, int(have.get("CPU", 1))))
        gpus = int(have.get("GPU", 0)) if loading.get("device", "auto") in ("auto", "cuda") else 0
        others = max(0 if gpus else 1, (int(have.get("CPU", 1)) - gpus) // self._cores)
        self.actors = [self._start(1) for _ in range(gpus)] + [self._start(0) for _ in range(others)]
        self.restarts = 0
        self._left: set[Path] = set()
        """Folders in which actors may have left something when they were lost."""

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def _start(self, gpus: int) -> _Actor:
        loading = dict(self._loading)
        cores = 1 if gpus else self._cores
        if loading.get("device", "auto") == "auto":
            loading["device"] = "cuda" if gpus else "cpu"
        kind = self._ray.remote(num_cpus=cores, num_gpus=gpus)(Hands)
        return _Actor(kind.remote(loading, self._wish, cores), gpus)

    def run(self, journal: Journal, watcher: Watcher | None = None) -> Generator[Record, None, None]:
        """Do what is open in a journal, and yield a record of each photo, in the order of their ends.

        Photos of an actor that is lost are done again by others. Raises UsageError when another run works on
        the journal, OutputError when the disk is full.
        """
        watcher = watcher or Watcher()
        overwrite = bool(journal.options.get("overwrite"))
        with working_on(journal):
            put_right(journal)
            try:
                while entries := deque(journal.next_open(_AT_ONCE)):
                    yield from self._run(journal, entries, watcher, overwrite)
            finally:
                for folder in self._left:
                    remove_parts(folder)

    def _run(
        self, journal: Journal, entries: deque[Entry], watcher: Watcher, overwrite: bool
    ) -> Generator[Record, None, None]:
        try:
            while entries or any(actor.tasks for actor in self.actors):
                for actor in self.actors:
                    while entries and len(actor.tasks) < _AHEAD:
                        self._give(journal, actor, entries.popleft(), watcher)
                for actor, task in self._done():
                    entry, part = actor.tasks.pop(task)
                    answer = self._answer_of(journal, actor, task, entry, part)
                    if answer is not None:
                        record = _settle(journal, entry, part, answer, overwrite)
                        watcher.finish(record)
                        yield record
        finally:
            self._give_up(journal)

    def _give(self, journal: Journal, actor: _Actor, entry: Entry, watcher: Watcher) -> None:
        part = entry.target.with_name(f".{secrets.token_hex(8)}.part{entry.target.suffix}")
        journal.claim(entry.id, 0, 0, b"")
        watcher.start(entry.job)
        task = actor.handle.restore.remote(str(entry.source), str(part))
        actor.tasks[task] = (entry, part)

    def _done(self) -> list[tuple[_Actor, Any]]:
        """Tasks that have ended, well or not."""
        owners = {task: actor for actor in self.actors for task in actor.tasks}
        ready, _ = self._ray.wait(list(owners), num_returns=1, timeout=_PATIENCE)
        return [(owners[task], task) for task in ready]

    def _answer_of(
        self, journal: Journal, actor: _Actor, task: Any, entry: Entry, part: Path
    ) -> _Answer | None:
        """What the actor says; None when it was lost, and the photo is to be done again."""
        try:
            answer: _Answer = self._ray.get(task)
        except self._ray.exceptions.RayActorError as error:
            self._requeue(journal, entry, part)
            if _UNLOADED in str(error):
                raise UsageError(f"--cluster: an actor cannot load the model: {_last_line(error)}") from error
            self._replace(journal, actor)
            return None
        except self._ray.exceptions.RayTaskError as error:
            _log.exception("%s: unexpected error", entry.source)
            record = Record(str(entry.source), None, error=f"{entry.source}: unexpected: {_last_line(error)}")
            return _Answer(record, 0, 0, b"", None)
        return answer

    def _replace(self, journal: Journal, actor: _Actor) -> None:
        """Start another actor in the place of one that is lost, and let its photos be done again."""
        _log.warning("an actor was lost; another one is started")
        self._let_go(journal, actor)
        self.restarts += 1
        actor.handle = self._start(actor.gpus).handle

    def _let_go(self, journal: Journal, actor: _Actor) -> None:
        """Leave what an actor has to do as if it had never been begun."""
        for entry, part in actor.tasks.values():
            self._requeue(journal, entry, part)
        actor.tasks.clear()

    def _requeue(self, journal: Journal, entry: Entry, part: Path) -> None:
        journal.requeue([entry.id])
        self._left.add(part.parent)

    def _give_up(self, journal: Journal) -> None:
        """Stop what is under way."""
        for actor in self.actors:
            for task in actor.tasks:
                with suppress(Exception):
                    self._ray.cancel(task)
            self._let_go(journal, actor)


def _settle(journal: Journal, entry: Entry, part: Path, answer: _Answer, overwrite: bool) -> Record:
    """Give a result its name, and note what became of the photo."""
    record = replace(answer.record, input=str(entry.source), output=None)
    if answer.record.error is None and answer.output is not None:
        journal.note_input(entry.id, answer.size, answer.modified, answer.input)
        journal.note_result(entry.id, answer.output)
        try:
            move_into_place(part, entry.target, overwrite=overwrite)
            record = replace(record, output=str(entry.target))
        except OutputError as error:
            part.unlink(missing_ok=True)
            record = replace(record, error=str(error))
    elif record.error is not None:
        record = replace(record, error=record.error.replace(str(part), str(entry.target)))
    finish(journal, entry.id, record)
    return record


def _connect(address: str) -> Any:
    # It would report its use, and start a web page.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("--cluster needs Ray: pip install 'clearair[cluster]'") from error
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == AUTO:
            ray.init(include_dashboard=False, **options)
        else:
            ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(f"--cluster {address}: cannot be reached: {_last_line(error)}") from error
    return ray


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

"""A run with a journal: claims pictures, records results, and cleans up after a crash."""

from __future__ import annotations

import fcntl
import os
import re
import threading
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from clearair.errors import ExistsError, ImageError, OutputError, UsageError
from clearair.files.journal import DONE, Entry, Journal, State, digest_of
from clearair.files.outputs import Job
from clearair.files.planning import Plan
from clearair.files.record import Record, Status
from clearair.files.watcher import Watcher
from clearair.image import Photo, read_photo
from clearair.placing import PART_NAME
from clearair.stores import Address, Content, Place, place_of

_AT_ONCE = 1000
"""Entries that are in memory."""
_ATTEMPTS = 5
"""Attempts after which a picture fails because the process ended each time."""
_FULL = ": cannot be written: the disk is full."
"""What an OutputError says of a full disk, after the name of the file."""

RunPlan = Callable[[Plan, "JournalLedger"], Generator[Record, None, None]]
"""Restores a plan and notifies the ledger."""


@dataclass(frozen=True)
class Shard:
    """One of several parts of a run, such as the third of sixteen."""

    number: int
    """From 1."""
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(f"shard {self.number}/{self.count}: the first number lies in 1 to the second.")

    def holds(self, source: Place) -> bool:
        """Whether a picture belongs to this part; it depends on its path alone, so all machines agree."""
        return zlib.crc32(os.fsencode(str(source))) % self.count == self.number - 1

    def journal(self, path: Path) -> Path:
        """The journal of this part, beside the one of the whole."""
        return path.with_name(f"{path.name}.{self.number}-of-{self.count}")


def parse_shard(said: str) -> Shard:
    """Such as "3/16". Raises UsageError."""
    match = re.fullmatch(r"(\d+)/(\d+)", said)
    if match is None:
        raise UsageError(f"shard {said!r}: expected a value such as 3/16, the third of sixteen parts.")
    return Shard(int(match[1]), int(match[2]))


@dataclass(frozen=True)
class Claimed:
    """The state of an input when it was claimed."""

    size: int
    mark: int
    """Time of modification (ns) of a file; of an object what its store says."""
    digest: bytes

    @classmethod
    def of(cls, job: Job, given: Path | Content) -> Claimed:
        """As it is now. Raises ImageError when it cannot be read."""
        try:
            return cls(*identity_of(given), digest_of(given))
        except OSError as error:
            raise ImageError(f"{job.source}: cannot be read: {error.strerror or error}.") from error


def refuse_changed(job: Job, photo: Photo, digest: bytes | None) -> None:
    """Raise ImageError when a file is no longer the one that was claimed."""
    if isinstance(job.source, Address):
        return  # the fetched bytes are the claimed ones
    try:
        same = photo.stat is not None and digest_of(job.source) == digest
    except OSError:
        same = False
    if not same:
        raise ImageError(f"{job.source}: was changed while it was read; restore it again.")


class JournalLedger(Watcher):
    """Records the progress of some pictures of a run in a journal."""

    def __init__(self, journal: Journal, entries: Sequence[Entry], watcher: Watcher) -> None:
        self._journal = journal
        self._numbers = {str(entry.source): entry.id for entry in entries}
        self._watcher = watcher
        self._writing = threading.Lock()
        self.fatal: OutputError | None = None
        """Set once the disk is full or the journal cannot be written: all other pictures would fail."""

    def claim(self, job: Job, given: Path | Content) -> None:
        """Record that a picture is being read. Raises ImageError when its file cannot be read."""
        if self.fatal is not None:
            raise self.fatal
        claimed = Claimed.of(job, given)
        with self._writing:
            self._journal.claim(self._number(job), claimed.size, claimed.mark, claimed.digest)

    def check(self, job: Job, photo: Photo) -> None:
        """Raise ImageError when the file is no longer the one that was claimed."""
        refuse_changed(job, photo, self._entry(job).input)

    def written(self, job: Job, part: Path) -> None:
        """The result is complete in a file that gets its name next."""
        digest = digest_of(part)
        with self._writing:
            self._journal.note_result(self._number(job), digest)

    def start(self, job: Job) -> None:
        """The picture is restored now."""
        self._watcher.start(job)

    def tile(self, done: int, total: int) -> None:
        """Pass the number of finished tiles on."""
        self._watcher.tile(done, total)

    def finish(self, record: Record) -> None:
        """The picture is done or has failed."""
        with self._writing:
            try:
                finish(self._journal, self._numbers[record.input], record)
            except OutputError as error:
                self.fatal = self.fatal or error  # later ones only repeat the first
        self._watcher.finish(record)

    def repeats(self, record: Record) -> bool:
        """Whether a picture failed only because of the error that ends the run."""
        error = record.error
        return self.fatal is not None and error is not None and (_FULL in error or error == str(self.fatal))

    def _number(self, job: Job) -> int:
        return self._numbers[str(job.source)]

    def _entry(self, job: Job) -> Entry:
        number = self._number(job)
        with self._writing:
            return next(self._journal.entries(after=number - 1, most=1))


def run_journal(
    journal: Journal, run: RunPlan, watcher: Watcher | None = None
) -> Generator[Record, None, None]:
    """Restore the pending pictures of a journal, and yield a record of each.

    Raises UsageError when another run works on it or on its output folder, OutputError when the disk is full:
    unfinished pictures then stay pending.
    """
    overwrite = bool(journal.options.get("overwrite"))
    with working_on(journal):
        put_right(journal)
        while entries := journal.next_open(_AT_ONCE):
            ledger = JournalLedger(journal, entries, watcher or Watcher())
            plan = Plan(tuple(entry.job for entry in entries), overwrite=overwrite)
            with closing(run(plan, ledger)) as records:
                for record in records:
                    if not ledger.repeats(record):
                        yield record
            if ledger.fatal is not None:
                raise ledger.fatal


def finish(journal: Journal, number: int, record: Record) -> None:
    """Record the result of a picture; its folder is flushed to disk before the journal marks it as done.

    Raises OutputError when the disk is full: then the picture stays pending.
    """
    if record.error is None and record.output is not None:
        _sync_folder(Path(record.output).parent)
        state = State.RESTORED if record.status is Status.RESTORED else State.LEFT
        journal.finish(number, state, str(record.outcome), record.seconds)
    elif record.error is not None and _FULL in record.error:
        journal.finish(number, State.PENDING, record.error)
        raise OutputError(
            f"{record.error} Free some space, and continue with `clearair batch resume {journal.path}`."
        )
    else:
        journal.finish(number, State.FAILED, record.error or "not done", record.seconds)


def put_right(journal: Journal) -> None:
    """Resolve pictures that were in progress when the previous run ended."""
    folders: set[Place] = set()
    for entry in list(journal.entries(State.RUNNING, State.WRITING)):
        folders.add(entry.target.parent)
        if entry.state is State.WRITING and _holds(entry.target, entry.output):
            # The result had been renamed, but the record of it was lost.
            journal.finish(entry.id, State.RESTORED, "finished; what was found was lost in a crash")
        elif entry.attempts >= _ATTEMPTS:
            journal.finish(
                entry.id,
                State.FAILED,
                f"{entry.source}: the process ended {entry.attempts} times while it worked on it.",
            )
        else:
            journal.requeue([entry.id])
    for folder in folders:
        remove_parts(folder)


def identity_of(given: Place | Content) -> tuple[int, int]:
    """Size and time of modification (ns) of a file, size and mark of an object. Raises OSError."""
    if isinstance(given, Address | Content):
        facts = given.facts() if isinstance(given, Address) else given.facts
        return facts.size, facts.mark
    stat = given.stat()
    return stat.st_size, stat.st_mtime_ns


def remove_parts(folder: Place) -> None:
    """Delete half-written files of an ended process in a folder that no other run works on.

    In a store nothing is half written.
    """
    if isinstance(folder, Address):
        return
    with suppress(OSError):
        for part in folder.iterdir():
            if PART_NAME.fullmatch(part.name):
                part.unlink(missing_ok=True)


def verify(journal: Journal) -> Iterator[tuple[Entry, str]]:
    """Read, decode and compare finished results; yield the bad ones with the reason."""
    for entry in journal.entries(*DONE):
        if (wrong := _wrong_with(entry)) is not None:
            yield entry, wrong


def _wrong_with(entry: Entry) -> str | None:
    target = entry.target
    try:
        given = _given(target)
        if digest_of(given) != entry.output:
            return f"{target}: differs from what was written; move it away to have it restored again."
        read_photo(given)
    except FileNotFoundError:
        return f"{target}: is gone."
    except OSError as error:
        return f"{target}: cannot be read: {error.strerror or error}."
    except ImageError as error:
        return str(error)
    return f"{entry.source}: was changed since it was restored." if _changed(entry) else None


def repair(journal: Journal, entries: Iterable[Entry]) -> int:
    """Mark what `verify` found to be restored again, and return how many; files of others stay.

    Raises OutputError for a result that cannot be deleted.
    """
    again = []
    for entry in entries:
        try:
            if _holds(entry.target, entry.output):
                entry.target.unlink(missing_ok=True)
            if not entry.target.exists():
                again.append(entry.id)
        except OSError as error:
            raise OutputError(f"{entry.target}: cannot be deleted: {error.strerror or error}.") from error
    journal.requeue(again, forgive=True)
    return len(again)


def open_shard(journal: Journal, shard: Shard) -> Journal:
    """The journal of a part of a run, created from that of the whole if it does not exist yet.

    Raises UsageError for a run with another number of parts, or one that has begun as a whole.
    """
    path = shard.journal(journal.path)
    if path.exists():
        return Journal.open(path)
    _refuse_other_parts(journal, shard.count)
    if any(count for state, count in journal.counts().items() if state is not State.PENDING):
        raise UsageError(
            f"{journal.path}: this run has begun as a whole and cannot be divided; continue with "
            f"`clearair batch resume {journal.path}`."
        )
    jobs = (entry.job for entry in journal.entries(State.PENDING) if shard.holds(entry.source))
    options = {**journal.options, "out": None}  # parts share a folder, but have separate files
    try:
        return Journal.create(path, jobs, options)
    except ExistsError:  # another process has made it meanwhile
        return Journal.open(path)


def open_whole(path: Path) -> Journal:
    """The journal of a run without parts. Raises UsageError when parts of it have been started."""
    journal = Journal.open(path)
    try:
        _refuse_other_parts(journal)
    except UsageError:
        journal.close()
        raise
    return journal


def _refuse_other_parts(journal: Journal, count: int | None = None) -> None:
    """Raise UsageError if the run has another number of parts, since work would be done twice."""
    for path in shards_of(journal.path):
        begun = path.name.rpartition("-of-")[2]
        if int(begun) != count:
            raise UsageError(
                f"{journal.path}: this run was started in {begun} parts, as {path.name} shows; continue with "
                f"`clearair batch resume {journal.path} --shard 1/{begun}`, and so on."
            )


@contextmanager
def with_parts(path: Path) -> Iterator[list[Journal]]:
    """The journal of a run and those of its parts that are there."""
    with ExitStack() as opened:
        yield [opened.enter_context(closing(Journal.open(each))) for each in (path, *shards_of(path))]


def overview(journal: Journal) -> dict[State, int]:
    """How many pictures of a run are in each state, with the states of parts from their journals."""
    counts = journal.counts()
    for path in shards_of(journal.path):
        with closing(Journal.open(path)) as part:
            for state, count in part.counts().items():
                counts[state] += count
                counts[State.PENDING] -= count
    return counts


def shards_of(path: Path) -> list[Path]:
    """The existing journals of the parts of a run. Raises UsageError when their folder cannot be read."""
    pattern = re.compile(re.escape(path.name) + r"\.\d+-of-\d+")
    folder = path.parent
    try:
        return sorted(each for each in folder.iterdir() if pattern.fullmatch(each.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UsageError(f"{folder}: cannot be searched for the run's parts: {error.strerror}.") from error


@contextmanager
def working_on(journal: Journal) -> Iterator[None]:
    """Hold a journal and its output folder. Raises UsageError when another run holds one of them."""
    out = journal.options.get("out")
    # A separate file: closing the journal's own file would release SQLite's locks on it.
    lock = journal.path.with_name(f".{journal.path.name}.lock")
    whole = place_of(out) if out else None
    with locked(lock, journal.path), locked(whole, folder=True) if isinstance(whole, Path) else nullcontext():
        yield


@contextmanager
def locked(path: Path, what: Path | None = None, *, folder: bool = False) -> Iterator[None]:
    """Hold a file or a folder, made if it is not there, until the process ends at the latest.

    Raises UsageError, which calls it `what`, when another process holds it, OutputError when it cannot be
    made.
    """
    try:
        if folder:
            path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"{what or path}: another run works on it; wait for its end.") from error
        yield
    finally:
        os.close(descriptor)


def _given(place: Place) -> Path | Content:
    """A readable source: a file, or all of an object."""
    return place.read() if isinstance(place, Address) else place


def _holds(place: Place, digest: bytes | None) -> bool:
    """Whether this exists and has the digest. Raises OutputError when a store does not answer."""
    if digest is None:
        return False
    try:
        return digest_of(_given(place)) == digest
    except FileNotFoundError:
        return False
    except OSError as error:
        if isinstance(place, Address):
            raise OutputError(f"{place}: cannot be read: {error.strerror or error}.") from error
        return False


def _changed(entry: Entry) -> bool:
    try:
        if identity_of(entry.source) == (entry.size, entry.modified):
            return False
        return digest_of(_given(entry.source)) != entry.input
    except OSError:
        return False  # it is not needed any more


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

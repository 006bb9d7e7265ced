"""The journal of a run: one SQLite file with the state of every picture, which survives any crash.

A picture is claimed before it is read, and its result's checksum is written down before the result gets its
name. So after a crash at any moment the journal knows which results are its own and complete. SQLite commits
each step to the disk (write-ahead log, `synchronous=FULL`).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from clearair.errors import ExistsError, OutputError, UsageError, brief
from clearair.files.outputs import Job
from clearair.placing import move_into_place
from clearair.stores import Content, Place, place_of

_APPLICATION = 0x436C4172
"""SQLite's `application_id` of a journal: "ClAr"."""
_VERSION = 1
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    source BLOB NOT NULL,
    target BLOB NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    size INTEGER,
    modified INTEGER,
    input BLOB,
    output BLOB,
    seconds REAL,
    note TEXT
);
CREATE INDEX by_state ON entry (state);
"""
_FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""Errors of SQLite's module; the second occurs when its message quotes damaged text."""
_SUSPICIOUS = 2
"""Attempts after which a picture is done alone."""
_PIECE = 1 << 20
DIGEST_BYTES = 16
"""Size in bytes of the BLAKE2b checksums of inputs and results."""


class State(IntEnum):
    """The state of a picture in a run."""

    PENDING = 0
    RUNNING = 1
    """Claimed: it is read and restored."""
    WRITING = 2
    """Its result is complete and gets its name next."""
    RESTORED = 3
    LEFT = 4
    """Done, and no pixel differs."""
    FAILED = 5

    @property
    def word(self) -> str:
        """As people read it."""
        return self.name.lower()


DONE = (State.RESTORED, State.LEFT)
OPEN = (State.PENDING, State.RUNNING, State.WRITING)


@dataclass(frozen=True)
class Entry:
    """One picture of a run."""

    id: int
    source: Place
    target: Place
    state: State
    attempts: int
    """How often it was claimed."""
    size: int | None
    modified: int | None
    """Size and time of modification (ns) of the input when it was read; of an object its mark."""
    input: bytes | None
    output: bytes | None
    """Checksums of the input and the result."""
    note: str | None
    """The error, or else what was found and done."""

    @property
    def job(self) -> Job:
        """The source and target of the picture."""
        return Job(self.source, self.target)


class Journal:
    """One journal that is open. Calls may come from any thread, one at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._database = connection

    @classmethod
    def create(cls, path: Path, jobs: Iterable[Job], options: dict[str, Any]) -> Journal:
        """Write a journal of these jobs; it appears at `path` once it is complete.

        Raises ExistsError when there is something at `path`, OutputError when it cannot be written.
        """
        resume = f"resume it with `clearair batch resume {path}`, or " if is_journal(path) else ""
        exists = f"{path}: exists already; {resume}choose another name."
        if path.exists():
            raise ExistsError(exists)
        part = path.with_name(
            f".{path.name}.{secrets.token_hex(8)}.part"
        )  # in pods, process ids are often the same
        try:
            with closing(_connect(part)) as connection, connection:
                connection.executescript(_SCHEMA)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                about = {"options": json.dumps(options), "created": str(int(time.time()))}
                connection.executemany("INSERT INTO meta VALUES (?, ?)", about.items())
                rows = (
                    (os.fsencode(str(job.source)), os.fsencode(str(job.target)), *_initial(job.problem))
                    for job in jobs
                )
                connection.executemany(
                    "INSERT INTO entry (source, target, state, note) VALUES (?, ?, ?, ?)", rows
                )
            move_into_place(part, path, overwrite=False)
        except ExistsError as error:
            raise ExistsError(exists) from error
        except (*_FAILURES, OSError) as error:
            raise OutputError(f"{path}: the journal cannot be written: {_reason(error)}.") from error
        finally:
            for file in (part, *_companions(part)):
                with suppress(OSError):
                    file.unlink(missing_ok=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open a journal. Raises UsageError when there is none, or it is of another version."""
        if not is_journal(path):
            raise UsageError(f"{path}: {_why_none(path)}.")
        with ExitStack() as on_failure:
            try:
                connection = _connect(path)
                on_failure.callback(connection.close)
                version = connection.execute("PRAGMA user_version").fetchone()[0]
            except _FAILURES as error:
                raise UsageError(f"{path}: the journal cannot be opened: {_reason(error)}.") from error
            if version != _VERSION:
                raise UsageError(
                    f"{path}: a journal of version {version}, but this version of clearair reads {_VERSION}."
                )
            on_failure.pop_all()
        return cls(path, connection)

    def close(self) -> None:
        """Close it; all entries stay."""
        self._database.close()

    @property
    def options(self) -> dict[str, Any]:
        """The options the run was started with."""
        rows = self._rows("SELECT value FROM meta WHERE key = 'options'")
        try:
            options: dict[str, Any] = json.loads(rows[0][0])
        except (IndexError, TypeError, ValueError) as error:
            raise self._damaged() from error
        if not isinstance(options, dict):
            raise self._damaged()
        return options

    def counts(self) -> dict[State, int]:
        """How many pictures are in each state."""
        counts = dict(self._rows("SELECT state, count(*) FROM entry GROUP BY state"))
        return {state: counts.get(int(state), 0) for state in State}

    def entries(self, *states: State, after: int = 0, most: int = -1) -> Iterator[Entry]:
        """Pictures in these states, by default in all, in order, from the one after a number on."""
        chosen = ", ".join(str(int(state)) for state in states or State)
        yield from self._entries(f"id > ? AND state IN ({chosen})", (after,), most)

    def next_open(self, most: int) -> list[Entry]:
        """The next pictures to restore, at most `most`.

        Pictures during which the process ended twice come last, each alone: one of them may cause the
        crashes, and the others must not be processed together with it.
        """
        usual = list(self._entries("state = 0 AND attempts < ?", (_SUSPICIOUS,), most))
        return usual or list(self._entries("state = 0", (), 1, order="attempts, id"))

    def _entries(
        self, condition: str, values: tuple[Any, ...], most: int, order: str = "id"
    ) -> Iterator[Entry]:
        rows = self._rows(
            "SELECT id, source, target, state, attempts, size, modified, input, output, note FROM entry "
            f"WHERE {condition} ORDER BY {order} LIMIT ?",
            (*values, most),
        )
        for number, source, target, state, *rest in rows:
            try:
                places = place_of(os.fsdecode(source)), place_of(os.fsdecode(target))
                entry = Entry(number, *places, State(state), *rest)
            except (TypeError, ValueError) as error:
                raise self._damaged() from error
            yield entry

    def claim(self, number: int, size: int, modified: int, digest: bytes) -> None:
        """Record that a picture is being read, with the size, time and checksum of its file."""
        self._set(
            "state = ?, attempts = attempts + 1, size = ?, modified = ?, input = ?, output = NULL, "
            "note = NULL",
            (State.RUNNING, size, modified, digest),
            number,
        )

    def note_result(self, number: int, digest: bytes) -> None:
        """Record the checksum of a result that is about to be renamed."""
        self._set("state = ?, output = ?", (State.WRITING, digest), number)

    def note_input(self, number: int, size: int, modified: int, digest: bytes) -> None:
        """Record the size, time and checksum of the file that was read."""
        self._set("size = ?, modified = ?, input = ?", (size, modified, digest), number)

    def finish(self, number: int, state: State, note: str, seconds: float | None = None) -> None:
        """Record that a picture is done or has failed."""
        self._set("state = ?, note = ?, seconds = ?", (state, _storable(note), seconds), number)

    def requeue(self, numbers: Iterable[int], *, forgive: bool = False) -> None:
        """Reset these pictures to pending; `forgive` also resets their attempts."""
        attempts = ", attempts = 0" if forgive else ""
        self._write(
            f"UPDATE entry SET state = 0, output = NULL, note = NULL{attempts} WHERE id = ?",
            ((number,) for number in numbers),
        )

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._database.execute(query, values).fetchall()
        except _FAILURES as error:
            raise self._damaged(_reason(error)) from error

    def _damaged(self, why: str = "") -> UsageError:
        return UsageError(f"{self.path}: the journal is damaged{f' ({why})' if why else ''}.")

    def _set(self, what: str, values: tuple[Any, ...], number: int) -> None:
        self._write(f"UPDATE entry SET {what} WHERE id = ?", [(*values, number)])

    def _write(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        try:
            with self._database:
                self._database.executemany(statement, rows)
        except _FAILURES as error:
            raise OutputError(f"{self.path}: the journal cannot be written: {_reason(error)}.") from error


def _storable(note: str) -> str:
    """Shortened, and without the surrogates of a name that is not UTF-8, which SQLite does not store."""
    return note[:300].encode("utf-8", "backslashreplace").decode()


def is_journal(path: Path) -> bool:
    """Whether a file is a journal, by its first bytes."""
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError:
        return False
    return head.startswith(b"SQLite format 3\0") and int.from_bytes(head[68:72], "big") == _APPLICATION


def _why_none(path: Path) -> str:
    try:
        if not path.exists():
            return "there is no such journal"
        with path.open("rb"):
            return "is no journal of a run"
    except OSError as error:
        return f"the journal cannot be opened: {_reason(error)}"


def digest_of(given: Path | Content) -> bytes:
    """The checksum of a file or an object (BLAKE2b, 16 bytes). Raises OSError."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    if isinstance(given, Content):
        digest.update(given.data)
        return digest.digest()
    with given.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.digest()


def _connect(path: Path) -> sqlite3.Connection:
    if path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return _connect_to_look(path)
    with ExitStack() as on_failure:
        connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
        on_failure.callback(connection.close)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        on_failure.pop_all()
    return connection


def _connect_to_look(path: Path) -> sqlite3.Connection:
    """A connection to a journal that may not be written, to read it."""
    written_to = path.with_name(path.name + "-wal").exists()
    # Without a log that another program may be writing, SQLite needs no files of its own beside it.
    address = f"{path.absolute().as_uri()}?{'mode=ro' if written_to else 'immutable=1'}"
    return sqlite3.connect(address, uri=True, timeout=30, check_same_thread=False)


def _companions(path: Path) -> tuple[Path, ...]:
    return tuple(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))


def _initial(problem: str | None) -> tuple[int, str | None]:
    return (int(State.PENDING), None) if problem is None else (int(State.FAILED), _storable(problem))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, UnicodeDecodeError):
        return "its text is not UTF-8"
    return brief(" ".join(str(error).split()))

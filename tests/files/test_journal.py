"""The journal of a run: states, claims and results, and what is no journal."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from fuzz import changed

from clearair.errors import ExistsError, OutputError, UsageError
from clearair.files.journal import Journal, State, digest_of, is_journal
from clearair.files.outputs import Job


def jobs(count: int) -> list[Job]:
    return [Job(Path(f"/photos/{number}.jpg"), Path(f"/out/{number}.jpg")) for number in range(count)]


@pytest.fixture
def journal(tmp_path):
    made = Journal.create(tmp_path / "run.db", jobs(3), {"overwrite": False})
    yield made
    made.close()


def test_a_new_journal_lists_what_is_to_be_done(journal):
    assert journal.counts() == {**dict.fromkeys(State, 0), State.PENDING: 3}
    assert [entry.job for entry in journal.entries()] == jobs(3)
    assert journal.options == {"overwrite": False}
    assert is_journal(journal.path)


def test_a_picture_goes_from_state_to_state(journal):
    journal.claim(2, 1000, 5, b"in")
    entry = next(journal.entries(State.RUNNING))
    assert (entry.id, entry.attempts, entry.size, entry.modified, entry.input) == (2, 1, 1000, 5, b"in")
    journal.note_result(2, b"out")
    assert next(journal.entries(State.WRITING)).output == b"out"
    journal.finish(2, State.RESTORED, "rain 92 %: restored", 1.5)
    assert next(journal.entries(State.RESTORED)).note == "rain 92 %: restored"
    assert [entry.id for entry in journal.entries(State.PENDING)] == [1, 3]
    journal.requeue([2])
    assert next(journal.entries(State.PENDING, after=1)).attempts == 1
    journal.requeue([2], forgive=True)
    assert next(journal.entries(State.PENDING, after=1)).attempts == 0


def test_it_is_there_for_others_at_once(journal):
    journal.claim(1, 1, 1, b"")
    other = Journal.open(journal.path)
    assert other.counts()[State.RUNNING] == 1
    other.close()


def test_names_of_any_bytes_are_kept(tmp_path):
    odd = Path(os.fsdecode(b"/photos/\xff\n.jpg"))
    made = Journal.create(tmp_path / "run.db", [Job(odd, odd)], {})
    assert next(made.entries()).source == odd
    made.close()


def test_a_failure_with_such_a_name_is_recorded(journal):
    journal.finish(2, State.FAILED, os.fsdecode(b"/photos/\xff.jpg: cannot be read."))
    assert next(journal.entries(State.FAILED)).note == r"/photos/\udcff.jpg: cannot be read."
    odd = Job(Path("a"), Path("b"), os.fsdecode(b"\xff: no such folder."))
    made = Journal.create(journal.path.with_name("planned.db"), [odd], {})
    assert next(made.entries(State.FAILED)).note == r"\udcff: no such folder."
    made.close()


def test_problems_of_the_plan_are_failures(tmp_path):
    made = Journal.create(tmp_path / "run.db", [Job(Path("a"), Path("b"), "a: no such folder.")], {})
    assert next(made.entries(State.FAILED)).note == "a: no such folder."
    made.close()


def test_a_journal_is_not_replaced(journal):
    with pytest.raises(ExistsError, match="clearair batch resume"):
        Journal.create(journal.path, jobs(1), {})
    assert journal.counts()[State.PENDING] == 3


def test_another_file_is_not_replaced_and_not_called_a_journal(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"a picture")
    with pytest.raises(ExistsError, match=r"photo\.png: exists already; choose another name\."):
        Journal.create(tmp_path / "photo.png", jobs(1), {})


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="drops the rights of root")
@pytest.mark.parametrize(
    ("of_folder", "said"), [(0o555, "3 3"), (0o000, "cannot be opened: Permission denied")]
)
def test_who_may_not_write_may_look(of_folder, said):
    folder = Path(tempfile.mkdtemp())  # others may enter its parents, unlike those of tmp_path
    Journal.create(folder / "run.db", jobs(3), {}).close()
    (folder / "run.db").chmod(0o444)
    folder.chmod(of_folder)
    code = (
        "import os, sys; from pathlib import Path; from clearair.files.journal import *\n"
        f"os.chdir({str(folder)!r}); os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: run = Journal.open(Path('run.db'))\n"
        "except UsageError as error: sys.exit(str(error))\n"
        "print(sum(run.counts().values()), len(list(run.entries())))\n"
        "try: run.requeue([1])\n"
        "except OutputError as error: print(error)\n"
    )
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(folder)
    assert said in done.stdout + done.stderr
    assert done.returncode or "cannot be written: attempt to write a readonly database" in done.stdout


def test_a_journal_that_cannot_be_written_leaves_nothing(tmp_path):
    def broken():
        yield from jobs(2)
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        Journal.create(tmp_path / "run.db", broken(), {})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError):
        Journal.create(tmp_path / "none" / "run.db", jobs(1), {})


def test_what_is_no_journal_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no such journal"):
        Journal.open(tmp_path / "none.db")
    text = tmp_path / "text.db"
    text.write_text("hello")
    with pytest.raises(UsageError, match="no journal"):
        Journal.open(text)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE a (b)")
    connection.close()
    with pytest.raises(UsageError, match="no journal"):
        Journal.open(other)


def test_a_journal_of_a_later_version_is_refused(journal):
    with sqlite3.connect(journal.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UsageError, match="version 99"):
        Journal.open(journal.path)


def test_a_damaged_journal_is_refused(tmp_path):
    made = Journal.create(tmp_path / "run.db", jobs(500), {})
    made.close()
    data = bytearray((tmp_path / "run.db").read_bytes())
    data[100:8000] = b"\xa5" * 7900
    (tmp_path / "run.db").write_bytes(data)
    with pytest.raises(UsageError, match="cannot be opened"):
        Journal.open(tmp_path / "run.db").counts()


def test_many_entries_are_small_and_counted_fast(tmp_path):
    count = 100_000
    made = Journal.create(
        tmp_path / "run.db",
        (
            Job(Path(f"/archive/2019/07/14/IMG_{number:07}.jpg"), Path(f"/out/07/14/IMG_{number:07}.jpg"))
            for number in range(count)
        ),
        {},
    )
    began = time.monotonic()
    assert made.counts()[State.PENDING] == count
    assert time.monotonic() - began < 1
    made.close()
    assert (tmp_path / "run.db").stat().st_size < 250 * count


def test_a_checksum_is_that_of_the_content(tmp_path):
    for name, content in (("a", b"x" * 3_000_000), ("b", b"x" * 3_000_000), ("c", b"y")):
        (tmp_path / name).write_bytes(content)
    assert digest_of(tmp_path / "a") == digest_of(tmp_path / "b") != digest_of(tmp_path / "c")


def test_damaged_journals_are_refused_or_read(tmp_path):
    made = Journal.create(tmp_path / "run.db", jobs(40), {"out": "out"})
    made.claim(3, 1, 1, b"x")
    made.finish(3, State.FAILED, "no picture")
    made.close()
    whole = (tmp_path / "run.db").read_bytes()
    refused = 0
    for number in range(300):
        path = tmp_path / f"{number}.db"
        path.write_bytes(changed([whole], number))
        try:
            opened = Journal.open(path)
        except UsageError:
            refused += 1
            continue
        with closing(opened), suppress(UsageError, OutputError):
            assert isinstance(opened.options, dict)
            opened.counts()
            list(opened.entries())
            opened.next_open(10)
            opened.claim(1, 1, 1, b"")
            opened.finish(1, State.LEFT, "")
    assert 0 < refused < 300

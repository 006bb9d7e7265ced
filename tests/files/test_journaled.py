"""Runs by a journal: a crash at any step, locks, parts, changed files, and checks of what was done."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from clearair.errors import OutputError, UsageError
from clearair.files.batch import run_plan
from clearair.files.journal import Journal, State, digest_of
from clearair.files.journaled import (
    JournalLedger,
    Shard,
    locked,
    open_shard,
    overview,
    parse_shard,
    put_right,
    repair,
    run_journal,
    shards_of,
    verify,
)
from clearair.files.planning import Plan, plan_batch
from clearair.files.watcher import Watcher
from clearair.image import Photo, read_photo, write_photo
from clearair.outcome import Outcome

COUNT = 5


def invert(photo: Photo):
    """A restoration that is quick."""
    return photo.with_pixels(255 - photo.pixels), {}, Outcome(found={"noise": 0.5}, changed=True)


def run(plan, ledger):
    return run_plan(plan, invert, watcher=ledger, ledger=ledger)


def make_photos(folder: Path, count: int = COUNT) -> Path:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 24, 3), np.uint8)
        write_photo(Photo(pixels), folder / f"{number}.png")
    return folder


def begin(folder: Path, photos: Path, out: Path | None = None) -> Journal:
    plan = plan_batch(photos, out or folder / "out")
    return Journal.create(folder / "run.db", plan.jobs, {"out": str(plan.out)})


@pytest.fixture
def journal(tmp_path):
    made = begin(tmp_path, make_photos(tmp_path / "photos"))
    yield made
    made.close()


def check_results(journal: Journal) -> None:
    for entry in journal.entries():
        assert (read_photo(entry.target).pixels == 255 - read_photo(entry.source).pixels).all()
        assert (entry.input, entry.output) == (digest_of(entry.source), digest_of(entry.target))
    assert not list(journal.path.parent.rglob("*.part"))


def test_a_run_does_all_and_says_what_was_found(journal):
    records = list(run_journal(journal, run))
    assert len(records) == journal.counts()[State.RESTORED] == COUNT
    assert {entry.note for entry in journal.entries()} == {"noise 50 %: restored"}
    check_results(journal)
    assert list(run_journal(journal, run)) == []  # nothing is done twice


CRASH = """
import os, sys
from pathlib import Path
from clearair.files.journal import Journal
from clearair.files import journaled
from tests.files.test_journaled import run

left = int(sys.argv[2])

def dying(name):
    method = getattr(journaled.JournalLedger, name)
    def step(self, *values):
        global left
        if left == 0:
            os._exit(9)
        left -= 1
        method(self, *values)
        if left == 0:
            os._exit(9)
        left -= 1
    setattr(journaled.JournalLedger, name, step)

for name in ("claim", "check", "written", "finish"):
    dying(name)
list(journaled.run_journal(Journal.open(Path(sys.argv[1])), run))
"""


@pytest.mark.parametrize("crash", range(0, 8 * COUNT, 3))
def test_a_crash_before_or_after_any_step_loses_and_repeats_nothing(journal, crash):
    command = [sys.executable, "-c", CRASH, str(journal.path), str(crash)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, timeout=60)
    assert done.returncode == 9, done.stderr
    finished = {entry.target: entry.target.stat() for entry in journal.entries() if entry.target.exists()}
    for _ in run_journal(journal, run):
        pass
    assert journal.counts()[State.RESTORED] == COUNT
    check_results(journal)
    for target, stat in finished.items():  # what had its name was not written again
        assert target.stat().st_ino == stat.st_ino


def test_a_picture_that_ends_the_process_is_given_up(journal):
    for _ in range(4):
        journal.claim(1, 1, 1, b"")
    put_right(journal)
    assert journal.counts()[State.PENDING] == COUNT
    assert [entry.id for entry in journal.next_open(10)] == [2, 3, 4, 5]  # it comes last, and alone
    journal.claim(1, 1, 1, b"")
    put_right(journal)
    entry = next(journal.entries(State.FAILED))
    assert "ended 5 times" in entry.note
    assert journal.counts()[State.PENDING] == COUNT - 1


def test_one_at_which_the_process_ended_twice_is_done_alone(journal):
    for number in (1, 3):
        journal.claim(number, 1, 1, b"")
        journal.requeue([number])
        journal.claim(number, 1, 1, b"")
    sizes = []

    def watch(plan, ledger):
        sizes.append(len(plan.jobs))
        return run(plan, ledger)

    list(run_journal(journal, watch))
    assert sizes == [COUNT - 2, 1, 1]
    check_results(journal)


def test_a_result_of_somebody_else_is_not_taken_for_ours(journal):
    target = next(journal.entries()).target
    target.parent.mkdir()
    target.write_text("mine")
    journal.claim(1, 1, 1, b"")
    journal.note_result(1, b"0" * 16)
    list(run_journal(journal, run))
    assert target.read_text() == "mine"
    assert "exists already" in next(journal.entries(State.FAILED)).note


def test_a_file_that_changes_while_it_is_read_fails(journal):
    class Meddling(JournalLedger):
        def check(self, job, photo):
            if job.source.name == "0.png":
                job.source.write_bytes(b"something else")
            super().check(job, photo)

    entries = list(journal.entries(State.PENDING))
    ledger = Meddling(journal, entries, Watcher())
    list(run(Plan(tuple(entry.job for entry in entries)), ledger))
    failed = list(journal.entries(State.FAILED))
    assert [entry.source.name for entry in failed] == ["0.png"]
    assert "was changed while it was read" in failed[0].note


def test_a_picture_that_is_gone_or_broken_fails_alone(journal):
    sources = [entry.source for entry in journal.entries()]
    sources[1].unlink()
    sources[3].write_text("no picture")
    list(run_journal(journal, run))
    assert journal.counts()[State.RESTORED] == COUNT - 2
    assert [entry.source for entry in journal.entries(State.FAILED)] == [sources[1], sources[3]]
    journal.requeue([4], forgive=True)
    write_photo(Photo(np.zeros((8, 8, 3), np.uint8)), sources[3], overwrite=True)
    list(run_journal(journal, run))
    assert journal.counts()[State.RESTORED] == COUNT - 1


def test_a_full_disk_ends_the_run_and_leaves_the_rest_open(journal, monkeypatch):
    def full(self, job, part):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(JournalLedger, "written", full)
        told = []
        with pytest.raises(OutputError, match="clearair batch resume"):
            told.extend(run_journal(journal, run))
        assert not told  # the error says it once
    assert journal.counts()[State.FAILED] == 0
    list(run_journal(journal, run))
    assert journal.counts()[State.RESTORED] == COUNT
    check_results(journal)


def test_two_runs_on_one_journal_or_folder_do_not_mix(journal, tmp_path):
    begun, ended = threading.Event(), threading.Event()

    def slow(photo):
        begun.set()
        ended.wait(30)
        return invert(photo)

    def first():
        mine = Journal.open(journal.path)
        list(run_journal(mine, lambda plan, ledger: run_plan(plan, slow, watcher=ledger, ledger=ledger)))
        mine.close()

    thread = threading.Thread(target=first)
    thread.start()
    begun.wait(30)
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    other = begin(other_folder, make_photos(other_folder / "photos"), tmp_path / "out")
    try:
        with pytest.raises(UsageError, match=r"run\.db: another run works on it"):
            list(run_journal(journal, run))
        with pytest.raises(UsageError, match="out: another run works on it"):
            list(run_journal(other, run))
    finally:
        ended.set()
        thread.join()
        other.close()
    assert journal.counts()[State.RESTORED] == COUNT


def test_a_lock_ends_with_its_process(tmp_path):
    program = f"""
from pathlib import Path
from clearair.files.journaled import locked
import os
with locked(Path({str(tmp_path / "lock")!r})):
    print("held", flush=True)
    input()
"""
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(UsageError), locked(tmp_path / "lock"):
        pass
    holder.kill()
    holder.communicate()
    with locked(tmp_path / "lock"):
        pass


def test_parts_are_done_apart_and_counted_together(journal):
    parts = [open_shard(journal, Shard(number, 3)) for number in (1, 2, 3)]
    assert sum(part.counts()[State.PENDING] for part in parts) == COUNT
    assert [each.name for each in shards_of(journal.path)] == [f"run.db.{i}-of-3" for i in (1, 2, 3)]
    threads = [threading.Thread(target=lambda part=part: list(run_journal(part, run))) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overview(journal)[State.RESTORED] == COUNT
    assert overview(journal)[State.PENDING] == 0
    again = open_shard(journal, Shard(2, 3))
    assert again.counts() == parts[1].counts()
    for part in (*parts, again):
        check_results(part)
        part.close()


def test_a_part_that_several_begin_at_once_is_one(journal):
    shard = Shard(1, 2)
    gate = threading.Barrier(8)

    def open_it(number):
        with closing(Journal.open(journal.path)) as mine:
            gate.wait()
            with closing(open_shard(mine, shard)) as part:
                return part.counts()

    with ThreadPoolExecutor(8) as pool:
        assert len({tuple(each.items()) for each in pool.map(open_it, range(8))}) == 1


def test_a_run_that_has_begun_is_not_divided(journal):
    first = next(iter(journal.entries()))
    journal.claim(first.id, 1, 1, b"digest")
    with pytest.raises(
        UsageError, match="begun as a whole and cannot be divided; continue with `clearair batch resume"
    ):
        open_shard(journal, Shard(1, 2))
    assert not shards_of(journal.path)


@pytest.mark.parametrize("said", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", ""])
def test_parts_that_make_no_sense(said):
    with pytest.raises(UsageError, match="shard"):
        parse_shard(said)


def test_each_picture_is_in_one_part():
    sources = [Path(f"/photos/{number}.jpg") for number in range(1000)]
    sizes = [sum(map(Shard(number, 16).holds, sources)) for number in range(1, 17)]
    assert sum(sizes) == 1000
    assert min(sizes) > 30


def test_verify_finds_what_does_not_hold_and_repair_what_is_ours(journal):
    list(run_journal(journal, run))
    assert list(verify(journal)) == []
    entries = list(journal.entries())
    entries[0].target.unlink()
    entries[1].target.write_bytes(b"edited by somebody")
    write_photo(Photo(np.full((8, 8, 3), 9, np.uint8)), entries[2].source, overwrite=True)
    wrong = list(verify(journal))
    assert [entry.id for entry, _ in wrong] == [1, 2, 3]
    assert [words.rpartition(": ")[2].split()[:2] for _, words in wrong] == [
        ["is", "gone."], ["differs", "from"], ["was", "changed"],
    ]  # fmt: skip
    assert repair(journal, [entry for entry, _ in wrong]) == 2
    list(run_journal(journal, run))
    assert entries[1].target.read_bytes() == b"edited by somebody"
    assert [entry.id for entry, _ in verify(journal)] == [2]


def test_a_large_run_is_done_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("clearair.files.journaled._AT_ONCE", 2)
    journal = begin(tmp_path, make_photos(tmp_path / "photos"))
    sizes = []

    def watch(plan, ledger):
        sizes.append(len(plan.jobs))
        return run(plan, ledger)

    list(run_journal(journal, watch))
    journal.close()
    assert sizes == [2, 2, 1]


def test_side_by_side_with_a_journal(journal):
    from clearair.files.stages import Together

    def both(plan, ledger):
        return run_plan(plan, invert, watcher=ledger, ledger=ledger, together=Together(2))

    list(run_journal(journal, both))
    assert journal.counts()[State.RESTORED] == COUNT
    check_results(journal)

"""Jobs, the queue, and how long results are kept."""

import asyncio
import io
import time
from datetime import UTC, datetime, timedelta

import pytest

from clearair.apps.server.jobs import OVER, Job, Line, Pace, Status, Table
from clearair.apps.server.problems import ProblemError


def job(size: int = 0) -> Job:
    made = Job("restore", {}, {}, io.BytesIO(), {"format": "png", "width": 1, "height": 1})
    if size:
        made.files = {"result": io.BytesIO()}
        made.result = {"kept": size}
    return made


@pytest.fixture
def jobs():
    made = [job() for _ in range(3)]
    yield made
    for each in made:
        each.finish(Status.CANCELLED)


def test_a_job_that_is_over_holds_no_files():
    made = job(10)
    made.finish(Status.FAILED, ProblemError.of("bug"))
    assert made.upload.closed
    assert (made.files, made.result, made.over) == ({}, None, True)
    assert made.describe_absence(60).name == "bug"


def test_names_cannot_be_guessed():
    names = {job().id for _ in range(100)}
    assert len(names) == 100
    assert min(map(len, names)) >= 22  # 128 bits


def test_whoever_waits_is_told_of_each_change(jobs):
    async def run():
        waiting = asyncio.create_task(jobs[0].end())
        await asyncio.sleep(0)
        jobs[0].show_progress(1, 2)
        await asyncio.sleep(0)
        assert not waiting.done()
        jobs[0].finish(Status.CANCELLED)
        await waiting

    asyncio.run(run())


def test_the_queue_keeps_the_order_and_its_limit(jobs):
    async def run():
        line = Line(3)
        line.put(jobs[0])
        line.put(jobs[1])
        assert not line.full
        line.put(jobs[2])
        assert line.full
        line.remove(jobs[2])
        assert not line.busy
        line.uploading = 12
        assert line.busy
        assert [line.position(each) for each in jobs] == [0, 1, None]
        line.remove(jobs[0])
        line.remove(jobs[2])
        assert await line.next() is jobs[1]
        late = asyncio.create_task(line.next())
        await asyncio.sleep(0)
        line.put(jobs[2])
        assert await late is jobs[2]
        line.put(jobs[0])
        assert line.clear() == [jobs[0]]
        assert line.waiting == 0

    asyncio.run(run())


def test_results_expire_and_jobs_are_forgotten():
    table = Table(keep_seconds=10, keep_bytes=100)
    made = job(10)
    table.add(made)
    table.keep(made)
    made.finish(Status.DONE)
    table.sweep()
    assert made.files
    made.expires = datetime.now(UTC) - timedelta(seconds=1)
    table.sweep()
    assert (made.status, made.files) == (Status.EXPIRED, {})
    assert made.describe_absence(10).name == "expired"
    assert table.find(made.id) is made
    made.finished = datetime.now(UTC) - timedelta(seconds=21)
    table.sweep()
    assert table.find(made.id) is None


def test_the_oldest_results_make_room_for_new_ones():
    table = Table(keep_seconds=1000, keep_bytes=100)
    made = [job(40) for _ in range(4)]
    for number, each in enumerate(made):
        table.add(each)
        table.keep(each)
        each.finish(Status.DONE)
        each.finished = datetime.now(UTC) + timedelta(seconds=number)
    assert [each.status for each in made] == [Status.EXPIRED, Status.EXPIRED, Status.DONE, Status.DONE]
    for each in made:
        each.forget()


def test_results_do_not_use_up_the_files():
    table = Table(keep_seconds=1000, keep_bytes=10**9, keep_files=2)
    made = [job(1) for _ in range(4)]
    for each in made:
        table.add(each)
        table.keep(each)
        each.finish(Status.DONE)
    assert [each.status for each in made] == [Status.EXPIRED, Status.EXPIRED, Status.DONE, Status.DONE]
    assert table.unfetched(10) == made[2:]
    made[3].fetched = True
    assert table.unfetched(10) == [made[2]]
    for each in made:
        each.forget()


def test_a_table_does_not_grow_without_end(jobs):
    table = Table(keep_seconds=1000, keep_bytes=100, most=2)
    for each in jobs:
        table.add(each)
    table.sweep()
    assert len(table) == 3  # all of them are still to be done
    for each in jobs:
        each.finish(Status.CANCELLED)
    table.sweep()
    assert len(table) == 2
    assert table.find(jobs[0].id) is None


def test_which_states_are_ends():
    assert {Status.QUEUED, Status.RUNNING} == set(Status) - OVER


def test_who_must_come_again_is_told_when():
    pace = Pace()
    assert pace.wait(0, 1) == 1
    for _ in range(50):
        pace.note(time.monotonic() - 4)
    assert pace.wait(10, 2) == pytest.approx(20, abs=1)

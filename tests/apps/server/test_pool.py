"""Worker processes: tasks, stops, deaths, and files that come and go as descriptors."""

import asyncio
import os
import signal
import struct
import tempfile
import zlib
from pathlib import Path

import pytest

from clearair.apps.server import pool
from clearair.apps.server.pool import LateError, Worker
from clearair.apps.server.problems import ProblemError
from clearair.errors import ClearAirError, ModelError
from tests.apps.server.serving import noisy

LOOK = {"work": "look", "memory": 1 << 30}


def with_looker(use):
    """Run a coroutine with a worker that reads headers, and end it."""

    async def run():
        worker = Worker(LOOK)
        await worker.start()
        try:
            return await use(worker)
        finally:
            await worker.kill()

    return asyncio.run(run())


async def look(worker: Worker, data: bytes, pixels: int = 10**8, seconds: float = 30, cpu_seconds: int = 20):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        options = {"pixels": pixels, "seconds": cpu_seconds}
        return await worker.run("look", options, [file], seconds=seconds)


@pytest.mark.parametrize("format", ["jpeg", "png", "tiff", "webp", "avif"])
def test_a_header_is_read(format):
    async def use(worker):
        return await look(worker, noisy(24, 32, format))

    assert with_looker(use) == {"format": format, "width": 32, "height": 24}


def test_what_is_refused_keeps_the_worker():
    async def use(worker):
        pid = worker.pid
        with pytest.raises(ProblemError, match="Not a picture") as caught:
            await look(worker, b"hello")
        assert caught.value.name == "bad-picture"
        with pytest.raises(ProblemError, match="32 x 24") as caught:
            await look(worker, noisy(24, 32), pixels=100)
        assert caught.value.name == "too-many-pixels"
        assert worker.pid == pid

    with_looker(use)


def test_a_worker_that_was_killed_is_started_again():
    async def use(worker):
        pid = worker.pid
        os.kill(pid, signal.SIGKILL)
        while worker.ready:
            await asyncio.sleep(0.01)
        assert (await look(worker, noisy()))["format"] == "png"
        assert (worker.restarts, worker.broken) == (1, False)
        assert worker.pid != pid

    with_looker(use)


def test_a_worker_that_stands_still_is_killed(monkeypatch):
    monkeypatch.setattr(pool, "_GRACE", 0.1)

    async def use(worker):
        pid = worker.pid
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(LateError):
            await look(worker, noisy(), seconds=0.1)
        assert not Path(f"/proc/{pid}").exists()
        assert (await look(worker, noisy()))["format"] == "png"

    with_looker(use)


def test_a_header_that_costs_too_much_time_ends_the_worker():
    chunk = struct.pack(">I4sI", 0, b"teXt", zlib.crc32(b"teXt"))
    png = noisy(8, 8)
    costly = png[:33] + 12_000_000 * chunk + png[33:]

    async def use(worker):
        await look(worker, png)
        with pytest.raises(pool.OverrunError):
            await look(worker, costly, seconds=300, cpu_seconds=0)
        assert (await look(worker, png))["format"] == "png"

    with_looker(use)


def test_a_worker_is_replaced_after_many_tasks(monkeypatch):
    monkeypatch.setattr(pool, "_TASKS", 2)

    async def use(worker):
        pids = []
        for _ in range(5):
            await look(worker, noisy(8, 8))
            pids.append(worker.pid)
        assert worker.restarts == 0  # none of them died
        return pids

    pids = with_looker(use)
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


def test_no_descriptor_is_left():
    async def use(worker):
        await look(worker, noisy(8, 8))
        held = Path(f"/proc/{worker.pid}/fd")
        before = len(list(held.iterdir()))
        for _ in range(20):
            await look(worker, noisy(8, 8))
        assert len(list(held.iterdir())) == before

    with_looker(use)


def test_a_worker_that_cannot_load_says_why():
    setup = {"work": "restore", "model": "nothing", "loading": {}, "pixels": 1}
    with pytest.raises(ModelError, match="no model 'nothing'"):
        asyncio.run(Worker(setup).start())


def test_a_worker_that_cannot_be_started_is_an_error(monkeypatch):
    monkeypatch.setattr("sys.executable", "/nothing")
    with pytest.raises(ClearAirError, match="could not be started"):
        asyncio.run(Worker(LOOK).start())

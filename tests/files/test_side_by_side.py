"""Several pictures at once: the same records in the same order, within the memory there is."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from clearair.errors import ImageError
from clearair.files.batch import run
from clearair.files.outputs import Job
from clearair.files.stages import StoppedError, Together
from clearair.image import Photo, read_photo, write_photo
from clearair.outcome import Outcome

RESTORED = Outcome({"noise": 0.9}, changed=True)


@pytest.fixture
def jobs(tmp_path):
    """Ten pictures, each darker than the one before, the fourth of them no picture."""
    made = []
    for number in range(10):
        source = tmp_path / f"{number}.png"
        write_photo(Photo(np.full((6, 8, 3), 100 - number, np.uint8)), source)
        made.append(Job(source, tmp_path / "out" / source.name))
    made[3].source.write_text("not a picture")
    return made


class Network:
    """Stands for one: counts how many pictures it has at once, and takes longer for earlier ones."""

    def __init__(self, pause: float = 0.02) -> None:
        self.pause = pause
        self.counting = threading.Lock()
        self.now = self.most = 0

    def __call__(self, photo: Photo):
        with self.counting:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.pause * (int(photo.pixels[0, 0, 0]) % 3))
        with self.counting:
            self.now -= 1
        return photo.with_pixels(255 - photo.pixels), {}, RESTORED


@pytest.mark.parametrize("at_once", [1, 2, 4, 50])
def test_records_come_in_order_whatever_is_done_first(jobs, at_once):
    network = Network()
    done = []
    together = Together(at_once)
    records = list(run(jobs, network, together=together, on_done=done.append))
    assert [Path(record.input) for record in records] == [job.source for job in jobs]
    assert [record.error is None for record in records] == [number != 3 for number in range(10)]
    assert {record.input for record in done} == {record.input for record in records}
    assert network.most <= min(at_once, 10)
    assert network.most > 1 or at_once == 1
    for number, job in enumerate(jobs):
        if number != 3:
            assert read_photo(job.target).pixels[0, 0, 0] == 155 + number


def test_no_more_pictures_are_in_memory_than_have_room(jobs):
    network = Network()
    together = Together(4, cost=lambda width, height, pixel_bytes: 40, room=100)
    records = list(run(jobs, network, together=together))
    assert network.most == 2  # of 40 bytes each
    assert sum(record.error is None for record in records) == 9


def test_a_picture_larger_than_the_room_is_refused_and_the_others_are_done(jobs):
    write_photo(Photo(np.zeros((60, 80, 3), np.uint8)), jobs[5].source, overwrite=True)

    def cost(width: int, height: int, pixel_bytes: int) -> int:
        if width > 50:
            raise ImageError("too large.")
        return 40

    records = list(run(jobs, Network(0), together=Together(2, cost=cost, room=50)))
    assert [number for number, record in enumerate(records) if record.error] == [3, 5]
    assert records[5].error == f"{jobs[5].source}: too large."
    assert not jobs[5].target.exists()


@pytest.mark.parametrize("room", [None, 50])
def test_a_run_that_is_broken_off_ends_its_threads_and_leaves_whole_files(jobs, room):
    before = threading.active_count()
    stop = threading.Event()
    begun: list[Job] = []

    def slow(photo: Photo):
        for _ in range(1000):
            if stop.is_set():
                raise StoppedError
            time.sleep(0.01)
        raise AssertionError("nobody stopped it")

    def process(photo: Photo):
        first = int(photo.pixels[0, 0, 0]) == 100
        return (photo.with_pixels(255 - photo.pixels), {}, RESTORED) if first else slow(photo)

    done = []
    together = Together(3, cost=lambda *_: 40, room=room, stop=stop)
    records = run(jobs, process, together=together, on_start=begun.append, on_done=done.append)
    assert next(records).error is None
    records.close()
    assert threading.active_count() == before
    # What was being restored has no record: a report calls it unfinished.
    assert {Path(record.input).name for record in done} <= {"0.png", "3.png"}
    assert [path.name for path in jobs[0].target.parent.iterdir()] == ["0.png"]


def test_what_finds_no_memory_beside_others_is_tried_once_more_alone(jobs):
    network, tried = Network(), []

    def process(photo: Photo):
        return network(photo)

    def cost(width: int, height: int, pixel_bytes: int) -> int:
        tried.append((width, height))
        if len(tried) == 5:
            raise MemoryError  # as where a decoder finds none
        return 1

    records = list(run(jobs, process, together=Together(3, cost=cost, room=1000)))
    assert [record.error is None for record in records] == [number != 3 for number in range(10)]
    assert len(tried) == 10  # nine pictures, one of them twice

"""What the photos of a batch share."""

import threading

import pytest

from clearair import UsageError
from clearair.batching import between_tiles, photos_at_once
from clearair.budget import Budget
from clearair.files.stages import StoppedError
from clearair.graphs import Crowd, usable_cores


class Alone:
    """A runtime that has all cores by itself."""


class SideBySide:
    """One of which several threads restore more in the same time."""

    tile_pixel_bytes = 100
    runs_side_by_side = True


BUDGET = Budget(1 << 40, 100)


def test_as_many_are_restored_at_once_as_the_runtime_makes_good_use_of():
    assert photos_at_once(None, Alone(), BUDGET) == 1
    assert photos_at_once(None, SideBySide(), BUDGET) == BUDGET.jobs(usable_cores())
    assert photos_at_once(3, Alone(), BUDGET) == 3


@pytest.mark.parametrize("jobs", [0, -1, True, 1.5, "two"])
def test_odd_numbers_of_jobs_are_refused(jobs):
    with pytest.raises(UsageError, match="jobs is a number of at least 1"):
        photos_at_once(jobs, Alone(), BUDGET)


def test_a_batch_that_is_broken_off_ends_after_a_tile():
    told, stop, crowd = [], threading.Event(), Crowd()
    on_tile = between_tiles(stop, crowd, lambda done, total: told.append((done, total)))
    with crowd:
        on_tile(1, 2)
        stop.set()
        with pytest.raises(StoppedError):
            on_tile(2, 2)
    assert told == [(1, 2)]

"""What a terminal shows of how far a run is."""

import pytest

from clearair.apps.cli.progress import time_left


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "0:00 left"),
        (59.9, "0:59 left"),
        (127, "2:07 left"),
        (3599, "59:59 left"),
        (3727, "1:02:07 left"),
    ],
)
def test_the_time_left_has_hours_from_one_on(seconds, shown):
    assert time_left(seconds) == shown

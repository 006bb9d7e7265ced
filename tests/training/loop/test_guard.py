import math

import pytest

from clearair.training.loop.guard import IN_A_ROW, SPIKE, WINDOW, Guard


@pytest.mark.parametrize(("loss", "norm", "reason"), [(math.nan, 1.0, "loss is nan"), (1.0, math.inf, "inf")])
def test_what_is_not_finite_is_left_out_from_the_first_update_on(loss, norm, reason):
    guard = Guard()
    assert not guard.judge(loss, norm)
    assert reason in guard.reason
    assert guard.judge(1.0, 1.0)
    assert guard.reason is None


def test_a_spike_is_left_out_once_it_is_known_what_is_usual():
    guard = Guard()
    assert guard.judge(1.0, 1000.0)
    assert all(guard.judge(1.0, 1.0 + index / 100) for index in range(WINDOW))
    assert guard.judge(1.0, 0.9 * SPIKE)
    assert not guard.judge(1.0, 2 * SPIKE)
    assert "usually 1.5" in guard.reason


def test_several_in_a_row_are_too_many_and_one_that_is_made_ends_the_row():
    guard = Guard()
    for _ in range(IN_A_ROW - 1):
        guard.judge(math.nan, 1.0)
    assert not guard.lost
    guard.judge(1.0, 1.0)
    for _ in range(IN_A_ROW):
        assert not guard.lost
        guard.judge(math.nan, 1.0)
    assert guard.lost


def test_what_a_checkpoint_keeps_is_all_that_it_remembers():
    guard = Guard()
    for index in range(2 * WINDOW):
        guard.judge(1.0, 1.0 + index)
    again = Guard(tuple(guard.norms))
    assert len(again.norms) == WINDOW
    for norm in (40 * WINDOW, 50 * WINDOW, 10.0):
        assert guard.judge(1.0, norm) == again.judge(1.0, norm)

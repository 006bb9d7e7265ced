"""Memory budgets: what is understood, what a picture costs, and who is let in."""

from __future__ import annotations

import threading

import pytest

from clearair import ImageError, UsageError
from clearair.budget import Budget, ClosedError, Gate, parse_size

TILE_PIXEL = 1450


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ("700MB", 700_000_000),
        ("1.5GB", 1_500_000_000),
        ("1GiB", 1 << 30),
        (" 2 gb ", 2 * 10**9),
        ("512mib", 512 << 20),
        (123, 123),
        ("9000", 9000),
    ],
)
def test_sizes_are_understood(said, size):
    assert parse_size(said) == size


@pytest.mark.parametrize("said", ["", "much", "-1GB", "1 parsec", "0MB", "1e9", 0, -5, True, 1.5, None])
def test_what_is_no_size_is_refused(said):
    with pytest.raises(UsageError, match=r"not a size; say such as 700MB, 1\.5GB or 1GiB"):
        parse_size(said)


def test_a_budget_too_small_for_anything_says_the_least_that_works():
    with pytest.raises(
        UsageError, match=r"memory budget 10MB: too small .* the least that works is ([\d,]+)MB"
    ) as said:
        Budget.of("10MB", TILE_PIXEL)
    least = int(str(said.value).rpartition("is ")[2].removesuffix("MB.").replace(",", ""))
    Budget.of(f"{least + 5}MB", TILE_PIXEL)  # and it does, but for what this test itself has taken since


def test_tiles_shrink_with_the_room_and_never_grow():
    sides = [
        Budget(room << 20, TILE_PIXEL).side_for((4000, 3000), 3, 512) for room in (2000, 500, 300, 200, 10)
    ]
    assert sides[0] == 512
    assert sides == sorted(sides, reverse=True)
    assert len(set(sides)) > 3
    assert sides[-1] == 64
    assert all(side % 8 == 0 for side in sides)


def test_the_side_depends_on_the_budget_and_the_picture_alone():
    budget = Budget(300 << 20, TILE_PIXEL)
    assert budget.side_for((4000, 3000), 3, 512) == budget.side_for((4000, 3000), 3, 512)
    assert Budget(None, TILE_PIXEL).side_for((4000, 3000), 3, None) is None
    assert Budget(4 << 30, TILE_PIXEL).side_for((400, 300), 3, None) is None
    assert Budget(200 << 20, TILE_PIXEL).side_for((4000, 3000), 3, None) < 512


def test_what_a_picture_costs_fits_the_room():
    for room in (150 << 20, 300 << 20, 700 << 20):
        assert Budget(room, TILE_PIXEL).cost((4000, 3000), 3, 512) <= room


def test_a_picture_that_does_not_fit_in_the_smallest_tiles_is_refused():
    with pytest.raises(
        ImageError, match=r"16000 x 12500 px need 1,\d\d\dMB of memory, and the memory budget is 400MB"
    ):
        Budget(200 << 20, TILE_PIXEL, total=400_000_000).cost((16000, 12500), 3, 512)
    with pytest.raises(ImageError, match="are free"):
        Budget(200 << 20, TILE_PIXEL).cost((16000, 12500), 3, 512)


def test_a_large_picture_is_overwritten_only_where_memory_is_short():
    size = (16000, 12500)
    short = Budget(1300 << 20, TILE_PIXEL, may_overwrite=True)
    assert short.overwrites(size, 3)
    assert short.cost(size, 3, 512) <= 1300 << 20
    assert not Budget(4 << 30, TILE_PIXEL, may_overwrite=True).overwrites(size, 3)
    assert not Budget(1300 << 20, TILE_PIXEL).overwrites(size, 3)


def test_a_limit_on_addresses_makes_tiles_smaller_and_refuses_nothing():
    budget = Budget(None, TILE_PIXEL, addresses=100 << 20)
    assert budget.side_for((4000, 3000), 3, 512) == 64
    assert budget.cost((4000, 3000), 3, 512)


def test_a_gate_lets_in_what_fits_and_always_one():
    gate = Gate(100)
    assert gate.try_enter("large", 500)
    assert not gate.try_enter("small", 1)
    assert gate.try_enter("large", 500)  # it is in already
    gate.leave("large")
    assert gate.try_enter("small", 60)
    assert gate.try_enter("other", 40)
    assert not gate.try_enter("third", 1)


def test_who_waits_at_a_gate_comes_in_when_there_is_room():
    gate = Gate(100)
    gate.enter("first", 80)
    entered = threading.Event()

    def come():
        gate.enter("second", 80)
        entered.set()

    thread = threading.Thread(target=come)
    thread.start()
    assert not entered.wait(0.05)
    gate.leave("first")
    assert entered.wait(10)
    thread.join()


def test_who_waits_at_a_gate_that_closes_is_sent_away():
    gate = Gate(100)
    gate.enter("first", 80)
    sent: list[BaseException] = []

    def come():
        try:
            gate.enter("second", 80)
        except ClosedError as error:
            sent.append(error)

    thread = threading.Thread(target=come)
    thread.start()
    gate.close()
    thread.join(10)
    assert len(sent) == 1

"""Tiles cover every picture, and blending them shows no seam."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearair.errors import UsageError
from clearair.tiling.tiles import (
    ALIGNMENT,
    DISCARDED,
    MAX_OVERLAP,
    STRETCH,
    Window,
    best_side,
    blend_tiles,
    plan_tiles,
)

LENGTHS = st.integers(1, 700)
SIDES = st.one_of(st.none(), st.integers(64, 300))


def area(height, width, side):
    """Pixels of all tiles."""
    tiling = plan_tiles(height, width, side)
    return sum(
        (row.stop - row.start) * (column.stop - column.start)
        for row in tiling.rows
        for column in tiling.columns
    )


def blended(height, width, side, restore):
    output = np.full((height, width, 1), np.nan, np.float32)
    for top, rows in blend_tiles(plan_tiles(height, width, side), lambda row: map(restore, row)):
        assert np.isnan(output[top : top + len(rows)]).all()  # every row is finished once
        output[top : top + len(rows)] = rows
    return output


@given(LENGTHS, SIDES)
def test_weights_sum_to_one_at_every_position(length, side):
    total = np.zeros(length)
    for span in plan_tiles(1, length, side).columns:
        assert len(span.weights) == span.stop - span.start
        assert (span.weights >= 0).all()
        total[span.start : span.stop] += span.weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


@given(LENGTHS, LENGTHS, st.integers(64, 300))
def test_larger_tiles_are_taken_only_where_they_cover_less(height, width, side):
    best = best_side(height, width, side)
    assert side <= best <= STRETCH * side
    assert area(height, width, best) <= area(height, width, side)
    if height <= side and width <= side:
        assert best == side


def test_a_square_of_a_megapixel_takes_four_tiles_instead_of_nine():
    assert len(plan_tiles(1000, 1000, 512)) == 9
    assert len(plan_tiles(1000, 1000, best_side(1000, 1000, 512))) == 4


@given(LENGTHS, st.integers(64, 300))
def test_tiles_are_aligned_and_no_larger_than_asked(length, side):
    for span in plan_tiles(length, 1, side).rows:
        assert span.start % ALIGNMENT == 0
        assert span.stop - span.start <= side


@given(LENGTHS, LENGTHS, SIDES, st.integers(0, 9))
def test_an_identity_gives_the_picture_back(height, width, side, seed):
    image = np.random.default_rng(seed).random((height, width, 1), np.float32)
    result = blended(height, width, side, lambda window: image[window.slices])
    np.testing.assert_allclose(result, image, atol=1e-6)


@given(st.integers(300, 700), st.integers(64, 300))
def test_what_a_tile_makes_of_its_outermost_pixels_is_not_used(length, side):
    image = np.random.default_rng(length).random((1, length, 1), np.float32)
    unseen = int(DISCARDED * min(MAX_OVERLAP, side // 4))

    def restore(window: Window):
        tile = image[window.slices].copy()
        if window.left > 0:
            tile[:, :unseen] = 1e6
        if window.left + window.width < length:
            tile[:, -unseen:] = -1e6
        return tile

    np.testing.assert_allclose(blended(1, length, side, restore), image, atol=1e-6)


def test_tiles_that_disagree_meet_in_a_smooth_ramp():
    result = blended(1, 500, 128, lambda window: np.full((1, window.width, 1), window.left, np.float32))
    steps = np.diff(result[0, :, 0])
    tallest = max(b.start - a.start for a, b in _neighbours(plan_tiles(1, 500, 128).columns))
    assert steps.max() < tallest / 5
    assert (steps >= -1e-3).all()


def test_only_one_row_of_tiles_is_asked_for_before_rows_come_out():
    tiling, asked = plan_tiles(1000, 300, 128), []

    def restore(window: Window):
        asked.append(window.top)
        return np.zeros((window.height, window.width, 3), np.float32)

    next(iter(blend_tiles(tiling, lambda row: map(restore, row))))
    assert set(asked) == {0}
    assert len(asked) == len(tiling.columns)


def test_a_tile_that_is_nearly_all_overlap_is_refused():
    with pytest.raises(UsageError, match="64"):
        plan_tiles(100, 100, 63)


def _neighbours(spans):
    return list(itertools.pairwise(spans))

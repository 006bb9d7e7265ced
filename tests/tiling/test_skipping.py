"""Tiles are left alone only where restoring would change nothing that can be seen."""

import numpy as np
import pytest

from clearair.tiling import Skipper, Window, blend_tiles, plan_tiles
from clearair.tiling.skipping import PROBE, SMALLEST, SPACING, probes
from clearair.tiling.tiles import ALIGNMENT

SIDE = 256


class Look:
    """A picture in which `change` is what restoring adds, and a record of what was restored of it."""

    def __init__(self, change):
        self.change = change.astype(np.float32)
        self.pixels = np.random.default_rng(0).random(change.shape, np.float32)
        self.windows = []
        self.skipper = Skipper(self.tiling, self.added, lambda pixels, added: bool((added > 0.5).any()))

    @property
    def tiling(self):
        return plan_tiles(*self.change.shape[:2], SIDE)

    def added(self, window, pixels):
        np.testing.assert_array_equal(pixels, self.pixels[window.slices])
        self.windows.append(window)
        return self.change[window.slices].copy()

    def run(self):
        """What is added to the picture in all, and the tiles that needed nothing."""
        left = []

        def restore(window: Window):
            pixels = self.pixels[window.slices]
            if self.skipper.needs_nothing(window, pixels):
                left.append(window)
                return np.zeros_like(pixels)
            added = self.added(window, pixels)
            self.skipper.learn(window, pixels, added)
            return added

        finished = blend_tiles(self.tiling, lambda row: map(restore, row))
        return np.concatenate([rows for _, rows in finished]), left


def test_what_an_earlier_tile_shows_is_remembered():
    pixels = picture()
    pixels[:, 200:300] = 60
    look = Look(pixels)
    first, second = (Window(0, left, 256, 256) for left in (0, 192))
    assert not look.skipper.has_seen(second)
    look.skipper.learn(first, look.pixels[first.slices], look.change[first.slices])
    assert look.skipper.has_seen(second)


def picture(height=600, width=900):
    return np.zeros((height, width, 3))


def probed(look):
    return [window for window in look.windows if window.height == PROBE]


def test_a_picture_that_needs_nothing_is_left_for_the_price_of_its_probes():
    look = Look(picture())
    _, left = look.run()
    assert len(left) == len(look.tiling)
    assert look.windows == probed(look)
    restored = sum(window.height * window.width for window in look.windows)
    assert restored < 0.45 * sum(window.height * window.width for window in left)


def test_a_picture_that_needs_it_everywhere_costs_one_probe():
    change = picture() + 1
    look = Look(change)
    added, left = look.run()
    assert left == []
    assert len(probed(look)) == 1
    np.testing.assert_allclose(added, change, atol=1e-6)


def test_what_is_left_stays_exact_and_what_is_damaged_is_restored():
    change = picture()
    change[:, :300] = 1
    look = Look(change)
    added, left = look.run()
    assert 0 < len(left) < len(look.tiling)
    np.testing.assert_allclose(added, change, atol=1e-6)
    for window in left:
        inner = Window(window.top + PROBE, window.left + PROBE, PROBE, PROBE)
        assert (added[inner.slices] == 0).all()


def test_a_tile_whose_damage_shows_where_it_overlaps_with_one_before_needs_no_probe():
    change = picture()
    columns = plan_tiles(*change.shape[:2], SIDE).columns
    middle = (columns[1].start + columns[0].stop) // 2
    change[:, : middle + 4] = 1
    look = Look(change)
    added, left = look.run()
    assert {window.left for window in left} == {column.start for column in columns[2:]}
    assert len([each for each in probed(look) if each.left < columns[2].start]) == 1
    np.testing.assert_allclose(added, change, atol=1e-6)


@pytest.mark.parametrize("side", [64, 128, None])
def test_small_tiles_and_a_picture_of_one_tile_are_restored_without_probes(side):
    tiling = plan_tiles(600, 900, side)

    def refuse(*arguments):
        raise AssertionError("probed")

    skipper = Skipper(tiling, refuse, refuse)
    pixels = np.zeros((600, 900, 3), np.float32)
    for row in tiling.rows:
        window = Window(row.start, 0, row.stop - row.start, min(900, tiling.columns[0].stop))
        assert side is None or window.height * window.width < SMALLEST
        assert not skipper.needs_nothing(window, pixels[window.slices])
        skipper.learn(window, pixels[window.slices], pixels[window.slices])


@pytest.mark.parametrize(("height", "width"), [(512, 512), (248, 224), (100, 500), (40, 1300), (1300, 40)])
def test_probes_lie_aligned_inside_a_tile_and_cross_every_part_of_it(height, width):
    first, *strips = probes(np.random.default_rng(0).random((height, width, 3), np.float32))
    assert (first.height, first.width) == (min(PROBE, height), min(PROBE, width))
    for place in (first, *strips):
        assert place.top % ALIGNMENT == place.left % ALIGNMENT == 0
        assert place.top + place.height <= height
        assert place.left + place.width <= width
    assert {(place.left, place.width) for place in strips} == {(0, width)}
    edges = [0, *(edge for place in strips for edge in (place.top, place.top + place.height)), height]
    assert all(edges[index + 1] - edges[index] < 1.5 * SPACING for index in range(0, len(edges), 2))


def test_the_most_textured_place_is_probed_first_and_strips_cross_it():
    pixels = np.full((256, 256, 3), 0.5, np.float32)
    pixels[130:190, 66:126] += np.random.default_rng(0).normal(0, 0.1, (60, 60, 1)).astype(np.float32)
    first, strip = probes(pixels)
    assert first == Window(128, 64, PROBE, PROBE)
    assert strip == Window(128, 0, PROBE, 256)

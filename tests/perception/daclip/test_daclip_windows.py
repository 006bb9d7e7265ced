"""Where the windows of regions lie."""

from __future__ import annotations

import numpy as np
import pytest

from clearair.perception.daclip.windows import Window, region_windows


def test_a_window_lies_on_its_region():
    labels = np.zeros((400, 600), np.uint8)
    labels[300:340, 500:540] = 1
    window = region_windows(labels, 64)[1]
    assert window.side == 64
    left, top, right, bottom = window.box
    assert left <= 500
    assert right >= 540
    assert top <= 300
    assert bottom >= 340


def test_a_large_region_gets_a_large_window():
    labels = np.zeros((500, 800), np.uint8)
    labels[:300, :300] = 1
    windows = region_windows(labels, 64)
    assert windows[1] == Window(0, 0, 300)
    assert windows[0].side == 500
    assert windows[0].left == 300


def test_a_ring_is_looked_at_where_it_is_and_not_in_its_hole():
    labels = np.zeros((300, 300), np.uint8)
    labels[60:240, 60:240] = 1
    left, top, right, bottom = region_windows(labels, 40)[0].box
    covered = (labels[top:bottom, left:right] == 0).mean()
    assert covered > 0.3


def test_of_equally_good_places_the_middle_is_taken():
    window = region_windows(np.zeros((100, 301), np.uint8), 64)[0]
    assert (window.top, window.side) == (0, 100)
    assert abs(window.left + 50 - 150) <= 6  # half a step


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (37, 1480), (2000, 3001)])
def test_windows_stay_inside_the_picture(size):
    labels = np.random.default_rng(0).integers(0, 4, size).astype(np.uint8)
    labels[-1, -1] = 9
    windows = region_windows(labels, 224)
    assert set(windows) == set(np.unique(labels).tolist())
    for window in windows.values():
        left, top, right, bottom = window.box
        assert min(left, top) >= 0
        assert right <= size[1]
        assert bottom <= size[0]
    assert windows[9].box[2:] == (size[1], size[0])


def test_a_single_pixel_is_not_overlooked():
    labels = np.zeros((3000, 4001), np.uint8)
    labels[1501, 2003] = 1
    left, top, right, bottom = region_windows(labels, 224)[1].box
    assert left <= 2003 < right
    assert top <= 1501 < bottom

"""The tiles of one photo: together or one by one, the same are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from clearair.image import Photo
from clearair.restoring import TileRun

HEIGHT, WIDTH, SIDE = 512, 1900, 512


def textured() -> np.ndarray:
    """Grey with strips of a checkerboard, which probes look at first."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    checks = 0.35 + 0.3 * ((columns // 2 + rows // 2) % 2)
    picture = np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)
    for top in (0, 180, 350):
        picture[top : top + 64] = checks[top : top + 64, :, None]
    return picture


class Knowing:
    """A runtime that knows the clean picture, and how many windows it is asked for at once."""

    device_type, precision, is_cautious, corrects_tone = "cpu", "fp32", False, False

    def __init__(self, clean, tiles_at_once):
        self.clean, self.tiles_at_once, self.counts = clean, tiles_at_once, []

    def judge(self, pixels, percepts):
        return None

    def restore(self, pixels, percepts, judgement, window, *, keep_tone=False):
        return self.clean[window.slices].copy()

    def restore_batch(self, pixels, percepts, judgement, windows, *, keep_tone=False):
        self.counts.append(len(windows))
        return np.stack([self.clean[window.slices] for window in windows])


@pytest.mark.parametrize("at_once", [2, 4])
def test_a_change_seen_in_one_tile_counts_for_the_next_of_the_same_batch(at_once):
    clean = textured()
    noise = np.random.default_rng(0).normal(0, 0.1, clean.shape).astype(np.float32)
    damaged = clean.copy()
    damaged[:, :300] += noise[:, :300]
    damaged[100:165, 300:540] += noise[100:165, 300:540]  # across a seam, beside what is probed
    photo = Photo((damaged.clip(0, 1) * 255).round().astype(np.uint8))
    results = {}
    for count in (1, at_once):
        runtime, told = Knowing(clean, count), []
        options = {"strength": 1.0, "keep_tone": False, "skip_tiles": True}
        run = TileRun(runtime, photo, None, SIDE, on_tile=lambda *done: told.append(done), **options)  # noqa: B023
        results[count] = run.run()
        assert told == [(number, len(run.tiling)) for number in range(1, len(run.tiling) + 1)]
    assert results[1][1] == results[at_once][1]
    assert 0 < results[1][1]["tiles_left"] < results[1][1]["tiles"]
    np.testing.assert_array_equal(results[1][0], results[at_once][0])

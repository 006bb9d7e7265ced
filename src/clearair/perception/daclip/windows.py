"""Windows for the damage of a region, for a network that sees only whole pictures.

Shapes: H x W pixels, N regions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.percepts import label_areas

STEPS = 8
"""Windows begin at multiples of this part of their side."""
SAMPLES = 4
"""Pixels along a step that are counted: enough to choose a place, and fast for 50 megapixels."""


@dataclass(frozen=True)
class Window:
    """A square of a picture, in pixels."""

    left: int
    top: int
    side: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.left + self.side, self.top + self.side


def region_windows(labels: NDArray[Any], least: int) -> dict[int, Window]:
    """A square window for each region of a label map (H, W) that has pixels.

    Its side is that of a square with the region's area, but at least `least` pixels, below which the picture
    would be enlarged for CLIP, and at most the picture's shorter side. It lies where it covers most of the
    region: of equally good places, the one nearest to the region's centre.
    """
    windows = {}
    for label, area in enumerate(label_areas(labels, int(labels.max()) + 1)):
        if area:
            side = min(*labels.shape, max(least, math.ceil(math.sqrt(area))))
            windows[label] = _best(labels, label, side)
    return windows


def _best(labels: NDArray[Any], label: int, side: int) -> Window:
    """The window of a side that covers most of a region, counted in whole steps."""
    step = max(1, side // STEPS)
    stride = max(1, step // SAMPLES)
    step = step // stride * stride
    region = labels[::stride, ::stride] == label
    if not region.any():  # smaller than the samples are apart
        stride, region = 1, labels == label
    counts = _counts(region, step // stride)
    reach = [min(side // step, steps) for steps in counts.shape]
    sums = np.zeros((counts.shape[0] + 1, counts.shape[1] + 1), np.int64)
    sums[1:, 1:] = counts.cumsum(axis=0).cumsum(axis=1)
    covered = sums[reach[0] :, reach[1] :] - sums[: -reach[0], reach[1] :]
    covered = covered - sums[reach[0] :, : -reach[1]] + sums[: -reach[0], : -reach[1]]
    best = np.nonzero(covered == covered.max())
    starts, away = [], []
    for axis, length in enumerate(labels.shape):
        starts.append(np.minimum(best[axis] * step, length - side))
        edges = np.minimum(np.arange(counts.shape[axis] + 1) * step, length)
        centre = counts.sum(axis=1 - axis) @ (edges[:-1] + edges[1:]) / (2 * counts.sum())
        away.append(starts[axis] + side / 2 - centre)
    nearest = int(np.argmin(away[0] ** 2 + away[1] ** 2))
    return Window(left=int(starts[1][nearest]), top=int(starts[0][nearest]), side=side)


def _counts(region: NDArray[np.bool_], cell: int) -> NDArray[np.int64]:
    """(H, W) -> pixels of the region in each cell of `cell` x `cell`; the last ones are smaller."""
    rows = np.add.reduceat(region, np.arange(0, region.shape[0], cell), axis=0, dtype=np.int64)
    counts: NDArray[np.int64] = np.add.reduceat(rows, np.arange(0, region.shape[1], cell), axis=1)
    return counts

"""The overview of a whole picture in NumPy: the same as `clearair.network.overview`.

Shapes: H x W pixels, s = stem, N regions, T = side of the thumbnail.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.image import to_depth
from clearair.network.config import STRIP, THUMBNAIL, NetworkConfig
from clearair.pooling import averaged

Floats = NDArray[np.float32]


def survey(pixels: NDArray[Any], labels: NDArray[np.uint8], config: NetworkConfig) -> dict[str, Floats]:
    """The overview of a picture (H, W, 3), uint8, uint16 or float, with regions (H, W), as arrays by name.

    `neighbourhoods` (1, N, 3 s^2, 3, 3), `areas` (1, N) and `thumbnail` (1, 3, T, T). Memory grows with the
    width alone. Mask average pooling: ClearAIR, eqs. 5-6.
    """
    height, width = labels.shape
    count, stem = config.region_count, config.stem
    sums = np.zeros((count, 3 * stem**2, 3, 3))
    areas = np.zeros(count)
    for top in range(0, height, STRIP):
        bottom = min(top + STRIP, height)
        above, below = max(top - stem, 0), min(bottom + stem, height)
        strip = to_depth(pixels[above:below], np.dtype(np.float32))
        cells = _cells(strip, top - above, below - bottom, (height, width), config)
        # A strip contains only a few of the regions.
        present = np.flatnonzero(np.bincount(labels[top:bottom].ravel(), minlength=count))
        members = _members(labels[top:bottom], present, stem)
        areas[present] += members.sum(axis=(1, 2), dtype=np.float64)
        sums[present] += _neighbourhood_sums(cells, members)
    means = sums / areas.clip(1e-6)[:, None, None, None]
    thumbnail = averaged(pixels, (THUMBNAIL, THUMBNAIL)).transpose(2, 0, 1)
    return {
        "neighbourhoods": means.astype(np.float32)[None],
        "areas": areas.astype(np.float32)[None],
        "thumbnail": np.ascontiguousarray(thumbnail)[None],
    }


def _members(labels: NDArray[np.uint8], present: NDArray[np.intp], stem: int) -> Floats:
    """(h, W) -> (n, h / s, W / s): how much of each cell belongs to each of n regions."""
    height, width = labels.shape
    padded = np.pad(labels, ((0, -height % stem), (0, -width % stem)), mode="edge")
    members = np.zeros((len(present), padded.shape[0] // stem, padded.shape[1] // stem), np.float32)
    for down in range(stem):
        for right in range(stem):
            part = padded[down::stem, right::stem]
            for member, label in zip(members, present, strict=True):
                member += part == label
    members /= np.float32(stem**2)
    return members


def _cells(strip: Floats, before: int, after: int, size: tuple[int, int], config: NetworkConfig) -> Floats:
    """A strip (h, W, 3) -> cells (h', w', 3 s^2) with a border of one, as the extraction sees them.

    `before` and `after` rows of it belong to its neighbours. The network first fills the picture up to its
    multiple by repeating pixels; beyond that its convolution pads with zeros or repeats whole cells.
    """
    stem = config.stem
    ends = tuple(config.fills_beyond(side) for side in size)
    right = -size[1] % stem + (stem if ends[1] else 0)
    # The picture may end in this strip or in the border below it, within a cell.
    below = -len(strip) % stem + (stem if not after and ends[0] else 0)
    filled = np.pad(strip, ((0, below), (0, right), (0, 0)), mode="edge")
    height, width = filled.shape[0] // stem, filled.shape[1] // stem
    cells = filled.reshape(height, stem, width, stem, 3).transpose(0, 2, 4, 1, 3).reshape(height, width, -1)
    border = (
        (0 if before else 1, 0 if after or ends[0] else 1),
        (1, 0 if ends[1] else 1),
        (0, 0),
    )
    return np.pad(cells, border, mode="edge" if config.padding == "replicate" else "constant")


def _neighbourhood_sums(cells: Floats, members: Floats) -> NDArray[np.float64]:
    """(h' + 2, w' + 2, D), (n, h', w') -> (n, D, 3, 3)."""
    height, width, depth = cells.shape
    # With rows as wide as those of the cells, every shift is a slice of the flat array, without a copy.
    wide = np.pad(members, ((0, 0), (0, 0), (0, 2))).reshape(len(members), -1)[:, :-2]
    flat = cells.reshape(height * width, depth)
    sums = np.empty((len(members), depth, 3, 3))
    for down in range(3):
        for right in range(3):
            start = down * width + right
            sums[:, :, down, right] = wide @ flat[start : start + wide.shape[1]]
    return sums

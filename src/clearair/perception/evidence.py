"""Checks whether a picture has enough structure for a kind of damage to be recognisable.

A blank page looks like dense fog, a starry sky like falling snow. Without structure, a picture does not show
whether haze has reduced the contrast or there never was any. Perceivers are then unreliable.

Shapes: h x w pixels of a reduced picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from clearair.kinds import REGISTRY, Signs
from clearair.similarity import BT601

PIXELS = 128 * 128
"""Of the reduced picture: noise is averaged away, and what is left is structure."""
BLOCK = 8
"""Side in pixels of the blocks that have structure or have none."""
_LUMA = np.array(BT601, np.float32)

_SPOT = 5
"""Side in pixels of a square of the reduced picture: bright spots that do not hold one are no structure.
Stars with their wings are such spots, and so are flakes and streaks in front of a scene."""

_CONTRAST = (0.003, (0.12, 0.3))
"""Least interquartile range of luma in a block with structure, and a ramp of the share of such blocks: below
it there is no evidence of haze, above it there is. `python benchmarks/evidence.py --data DATA` measures the
shares in photos with and without the damage."""
_SCENE = (0.008, (0.12, 0.18))
"""The same for what falls in front of a scene, or sticks to the lens, without small bright spots."""
_SHADOWS = (0.01, (0.13, 0.2))
"""The same for darkness, of the root of luma."""
_WHITE = 0.96
"""Level from which a pixel is white."""
_MOSTLY_WHITE = (0.5, 0.65)
"""Ramp of the share of white pixels: above it the picture shows paper or a studio, not fog."""
_INK, _PAPER = 0.04, 0.96
"""Levels of ink and of paper."""
_LEAST = 0.05
"""Least share of each in print."""
_TWO_LEVELS = (0.8, 0.95)
"""Ramp of the share of both: above it the picture is print or line art, whose dots are not noise."""
CROP, CROPS = 64, (4, 4)
"""Side in pixels of crops in which the dots of print are looked for, and how many down and across."""
_PLACE = 16
"""Side in pixels of the places of a crop: in print, each has dots and gaps between them."""
_DARK, _BRIGHT = 0.1, 0.9
"""Levels of dots and of gaps in one channel."""
_LEAST_DOTS = 0.08
"""Least share of each in a dotted place."""
_MOST = 0.5
"""Least share of both together: noise that is strong enough for both levels leaves most pixels between."""
_DOTTED = (0.25, 0.45)
"""Ramp of the share of dotted places: above it the picture is printed in dots, of whatever colours."""


def evidence(
    names: Sequence[str],
    reduced: NDArray[np.float32],
    sample: NDArray[np.float32],
    crops: NDArray[np.float32],
) -> NDArray[np.float32]:
    """(K,) how far each of these kinds of damage can be told from its absence, in [0, 1].

    `reduced` is the picture (h, w, 3) in [0, 1], averaged to about `PIXELS` pixels with sides that are
    multiples of `BLOCK`; `sample` (h', w', 3) are some of its own pixels, `crops` (C, 3, S, S), of sides of
    `CROP`, parts of it.
    """
    seen = _signs(reduced)
    signs = {kind.name: kind.signs for kind in REGISTRY}
    each = [1.0 if (sign := signs.get(name)) is None else seen[sign] for name in names]
    return np.array(each, np.float32) * np.float32(1 - max(_printed(sample), _dotted(crops)))


def _signs(reduced: NDArray[np.float32]) -> dict[Signs, float]:
    luma = reduced @ _LUMA
    behind = _without_spots(luma)
    white = float((reduced.min(axis=2) >= _WHITE).mean())
    return {
        "contrast": _share(_spread(_detail(luma)), *_CONTRAST) * (1 - _ramp(white, _MOSTLY_WHITE)),
        "scene": _share(_spread(_detail(behind)), *_SCENE),
        "shadows": _share(_spread(_detail(np.sqrt(behind.clip(0)))), *_SHADOWS),
    }


def _printed(sample: NDArray[np.float32]) -> float:
    """Certainty, in [0, 1], that a picture has only two levels."""
    luma = sample @ _LUMA
    ink, paper = float((luma <= _INK).mean()), float((luma >= _PAPER).mean())
    return _ramp(ink + paper, _TWO_LEVELS) if min(ink, paper) >= _LEAST else 0.0


def _dotted(crops: NDArray[np.float32]) -> float:
    """Certainty, in [0, 1], that dark and bright alternate in a channel, as in print."""
    count, channels, side, _ = crops.shape
    grid = crops.reshape(count, channels, side // _PLACE, _PLACE, side // _PLACE, _PLACE)
    dark, bright = (reached.mean(axis=(3, 5)) for reached in (grid <= _DARK, grid >= _BRIGHT))
    dotted = (np.minimum(dark, bright) >= _LEAST_DOTS) & (dark + bright >= _MOST)
    return _ramp(float(dotted.any(axis=1).mean()), _DOTTED)


def _without_spots(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) -> (h, w): bright spots that hold no square of `_SPOT` pixels are cut off (grey opening)."""
    for extreme in (np.min, np.max):
        for axis in (0, 1):
            border = [(0, 0), (0, 0)]
            border[axis] = (_SPOT // 2, _SPOT // 2)
            padded = np.pad(plane, border, mode="edge")
            plane = extreme(sliding_window_view(padded, _SPOT, axis), axis=-1)
    return plane


def _detail(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w) -> (blocks, pixels): the residual of each block after the best linear fit."""
    grid = plane.reshape(plane.shape[0] // BLOCK, BLOCK, plane.shape[1] // BLOCK, BLOCK)
    blocks = grid.transpose(0, 2, 1, 3).reshape(-1, BLOCK**2)
    down, across = np.mgrid[:BLOCK, :BLOCK].reshape(2, -1) - (BLOCK - 1) / 2
    basis = np.stack([np.ones(BLOCK**2), down, across], axis=1)  # (pixels, 3)
    fitted: NDArray[np.float32] = blocks - blocks @ (basis @ np.linalg.pinv(basis)).astype(np.float32)
    return fitted


def _spread(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Interquartile ranges: isolated points do not count."""
    bottom, top = np.percentile(blocks, (25, 75), axis=1)
    return np.asarray(top - bottom, np.float32)


def _share(spreads: NDArray[np.float32], least: float, ramp: tuple[float, float]) -> float:
    """Position on the ramp of the share of blocks with at least this spread."""
    return _ramp(float((spreads > least).mean()), ramp)


def _ramp(value: float, ramp: tuple[float, float]) -> float:
    return float(np.clip((value - ramp[0]) / (ramp[1] - ramp[0]), 0, 1))

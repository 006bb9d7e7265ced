"""Artefacts that a restorer may leave: a lattice from its strides, a frame from its padding.

Shapes: B pictures, H x W pixels, C channels, S = side of a segment whose spectrum is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearair.errors import DataError

Floats = NDArray[np.float32]

PERIODS = (2, 4, 8)
"""Strides, in pixels, at which networks leave lattices."""
SEGMENT = 128
QUIET = 0.25 / 255
"""A segment with less deviation than this counts less: it is rounding, not what a network added."""
_REACH = range(2, 7)
"""How many bins away the neighbourhood of a peak lies; a Hann window spreads a peak over one bin."""


@dataclass(frozen=True)
class Lattice:
    """A pattern with one period."""

    prominence: float
    """Power of its strongest frequency against the mean around it, in segments scaled to equal power: about 1
    when there is no lattice, 0 when there is nothing at all."""
    rms: float
    """Its root mean square, in the unit of the pictures: whether it can be seen."""


@dataclass(frozen=True)
class Frame:
    """The outermost pixels of pictures against those inside."""

    border_rms: float
    inside_rms: float
    border_mean: float
    inside_mean: float

    @property
    def ratio(self) -> float:
        """How many times larger the values are at the border, root mean square; 1 when there is no frame."""
        return self.border_rms / max(self.inside_rms, 1e-9)


def lattice(residuals: Floats) -> dict[int, Lattice]:
    """Measure the lattice of each of PERIODS in the change made by a network, (B, H, W, C).

    Its frequencies are the multiples of 1 / period along either axis or both, without those of a shorter
    period. Averaged over half overlapping segments of 128 pixels, pictures and channels.

    Raises DataError for smaller pictures.
    """
    equal, power = _spectra(residuals)
    found = {}
    for period in PERIODS:
        bins = list(_frequencies(period))
        prominence = max(equal[index] / max(_around(equal, *index), 1e-9) for index in bins)
        excess = sum(max(0.0, power[index] - _around(power, *index)) for index in bins)
        found[period] = Lattice(float(prominence), float(np.sqrt(excess)))
    return found


def _spectra(values: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean power spectrum (S, S) of (B, H, W, C): of segments scaled to equal power, and as they are."""
    height, width = values.shape[1:3]
    if min(height, width) < SEGMENT:
        raise DataError(f"A lattice is looked for in {SEGMENT} px a side; got {width} x {height} px.")
    window = np.hanning(SEGMENT + 1)[:-1]
    taper = (window[:, None] * window[None, :])[None, :, :, None] / window.sum() ** 2
    equal, power, count = np.zeros((SEGMENT, SEGMENT)), np.zeros((SEGMENT, SEGMENT)), 0
    for top in range(0, height - SEGMENT + 1, SEGMENT // 2):
        for left in range(0, width - SEGMENT + 1, SEGMENT // 2):
            segment = values[:, top : top + SEGMENT, left : left + SEGMENT].astype(np.float64)
            segment = segment - segment.mean(axis=(1, 2), keepdims=True)
            size = segment.std(axis=(1, 2)) + QUIET  # (B, C)
            squares = np.abs(np.fft.fft2(segment * taper, axes=(1, 2))) ** 2
            power += squares.sum(axis=(0, 3))
            # A lattice is visible in quiet areas, so busy segments count no more than quiet ones.
            equal += (squares / size[:, None, None] ** 2).sum(axis=(0, 3))
            count += size.size
    return equal / count, power / count


def frame(values: Floats, width: int = 8) -> Frame:
    """Compare the outer `width` pixels of (B, H, W, C) with the inside. DataError when there is no inside."""
    if min(values.shape[1:3]) <= 2 * width:
        raise DataError(f"Pictures of {values.shape[2]} x {values.shape[1]} px are all border.")
    is_border = np.ones(values.shape[1:3], bool)
    is_border[width:-width, width:-width] = False
    border, inside = values[:, is_border].astype(np.float64), values[:, ~is_border].astype(np.float64)
    return Frame(
        float(np.sqrt(np.mean(border**2))),
        float(np.sqrt(np.mean(inside**2))),
        float(np.mean(border)),
        float(np.mean(inside)),
    )


def _frequencies(period: int) -> Iterator[tuple[int, int]]:
    """Bins (row, column) of a lattice of this period and of no shorter one."""
    step = SEGMENT // period
    bins = range(0, SEGMENT, step)
    for row in bins:
        for column in bins:
            if row % (2 * step) or column % (2 * step):
                yield row, column


def _around(power: NDArray[np.float64], row: int, column: int) -> float:
    """Mean power of the neighbours of a bin.

    Upright and level edges make ridges along the axes of the spectrum; there the neighbours lie along them.
    """
    if row == 0:
        around = [power[0, (column + sign * reach) % SEGMENT] for reach in _REACH for sign in (1, -1)]
    elif column == 0:
        around = [power[(row + sign * reach) % SEGMENT, 0] for reach in _REACH for sign in (1, -1)]
    else:
        span = range(-_REACH[-1], _REACH[-1] + 1)
        around = [
            power[(row + down) % SEGMENT, (column + across) % SEGMENT]
            for down in span
            for across in span
            if max(abs(down), abs(across)) >= _REACH[0]
        ]
    return float(np.mean(around))

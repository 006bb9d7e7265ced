"""Marks that a restorer may leave: a lattice of its strides, a frame of its padding.

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


def lattice(residuals: Floats) -> dict[int, float]:
    """How far a lattice of each of PERIODS stands out of what the network added, (B, H, W, C).

    The power at the frequencies of the lattice (multiples of 1/period along either axis or both, not those of
    a shorter period), the largest of them, divided by the mean power around it: about 1 without a lattice.
    Averaged over segments of 128 pixels, pictures and channels. Raises DataError for smaller pictures.
    """
    power = spectrum(residuals)
    return {
        period: max(_prominence(power, row, column) for row, column in _frequencies(period))
        for period in PERIODS
    }


def spectrum(values: Floats) -> NDArray[np.float64]:
    """Mean power spectrum (S, S) of half overlapping segments of (B, H, W, C), each scaled to the same power.

    Raises DataError when the pictures are smaller than a segment.
    """
    height, width = values.shape[1:3]
    if min(height, width) < SEGMENT:
        raise DataError(f"A lattice is looked for in {SEGMENT} px a side; got {width} x {height} px.")
    window = np.hanning(SEGMENT + 1)[:-1]
    taper = (window[:, None] * window[None, :])[None, :, :, None]
    power, count = np.zeros((SEGMENT, SEGMENT)), 0
    for top in range(0, height - SEGMENT + 1, SEGMENT // 2):
        for left in range(0, width - SEGMENT + 1, SEGMENT // 2):
            segment = values[:, top : top + SEGMENT, left : left + SEGMENT].astype(np.float64)
            segment = segment - segment.mean(axis=(1, 2), keepdims=True)
            # A lattice is seen where little else is, so busy segments count no more than quiet ones.
            segment /= segment.std(axis=(1, 2), keepdims=True) + QUIET
            power += (np.abs(np.fft.fft2(segment * taper, axes=(1, 2))) ** 2).sum(axis=(0, 3))
            count += segment.shape[0] * segment.shape[3]
    mean: NDArray[np.float64] = power / max(count, 1)
    return mean


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
    """Bins (row, column) of a lattice of this period and of no shorter one, in half of the plane."""
    step = SEGMENT // period
    bins = range(0, SEGMENT, step)
    for row in bins:
        for column in bins:
            is_shorter = row % (2 * step) == 0 and column % (2 * step) == 0
            is_mirrored = (-row % SEGMENT, -column % SEGMENT) < (row, column)
            if not is_shorter and not is_mirrored:
                yield row, column


def _prominence(power: NDArray[np.float64], row: int, column: int) -> float:
    """Power of a bin against its neighbours.

    Upright and level edges make ridges along the axes of the spectrum; there a bin is compared along them.
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
    # What is rounding only, as where nothing was added, is no lattice.
    floor = 1e-12 * SEGMENT**2
    return float((power[row, column] + floor) / (np.mean(around) + floor))

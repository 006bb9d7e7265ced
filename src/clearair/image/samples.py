"""Values unlike those of photographs: their range, and samples without data.

Scientific files store floats of any range, signed and 32-bit integers, 12 bits in 16, and a number that
stands for "no data". The network sees them scaled to [0, 1]; what it changes is added to what was stored.

Shapes: H x W pixels, C colour channels, 1 or 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
Mask = NDArray[np.bool_]

_PHOTO_TYPES = ("uint8", "uint16")
_NARROW = (8, 9, 10, 11, 12, 14)
"""Bit depths that files store in 16 bits; 13 and 15 are left out, since dark photographs look like them."""
_TAIL = 0.1
"""Percent of the samples at either end that may lie outside the range."""
_FAR = 10.0
"""Distance, in ranges, beyond which a sample is not part of the picture."""
_MARKS = frozenset(
    {-999.0, -9999.0, -99999.0, -32767.0, -32768.0, 9999.0, 99999.0, 32767.0, 65535.0, -2147483648.0}
)
"""Numbers by which programs usually mark samples without data."""
_SAMPLED = 1 << 20
"""Number of samples that suffice to estimate the range."""


class UnfitError(Exception):
    """The samples do not form a picture; the message says why."""


@dataclass(frozen=True, eq=False)
class Samples:
    """What a file stores where that is not the pixels themselves."""

    stored: Numbers
    """(H, W, C) upright, exactly as in the file."""
    holes: Mask | None
    """(H, W, C), true where a sample holds no picture; it is written back as it was. None = nowhere."""
    low: float
    """What 0 stands for."""
    high: float
    """What 1 stands for."""
    alpha: Numbers | None = None
    """(H, W) as in the file."""

    @property
    def bits(self) -> int:
        """Bits a sample has, of 16 those that are used."""
        return int(self.high).bit_length() if self._unit > 255 else 8 * self.stored.dtype.itemsize

    @property
    def _unit(self) -> int:
        """What 1 is in the pixels."""
        kind = self.stored.dtype
        return int(np.iinfo(kind).max) if kind.name in _PHOTO_TYPES else 1

    def as_pixels(self) -> Numbers:
        """(H, W, C) for the network: unsigned integers of 8 or 16 bits, else float32; holes are filled."""
        values: Numbers = self.stored.astype(np.float64)
        if self.holes is not None:
            values[self.holes] = 0
        values = np.clip((values - np.float64(self.low)) / np.float64(self.high - self.low), 0, 1)
        if self.holes is not None:
            values = fill(values, ~self.holes)
        if self._unit == 1:
            return values.astype(np.float32)
        rounded: Numbers = (values * np.float64(self._unit) + 0.5).astype(self.stored.dtype)
        return rounded

    def with_changes(self, pixels: Numbers) -> Numbers:
        """Return what to store for restored `pixels`, (H, W, C) of the type of `as_pixels`.

        Where a pixel is what `as_pixels` says, this is what was stored, exactly.
        """
        before = self.as_pixels()
        change = (pixels.astype(np.float64) - before) * ((self.high - self.low) / self._unit)
        keep = change == 0
        if self.holes is not None:
            keep |= self.holes
        changed = np.where(keep, 0, self.stored) + change
        kind = self.stored.dtype
        if np.issubdtype(kind, np.integer):
            limits = np.iinfo(kind)
            top = self.high if self._unit > 1 else limits.max
            changed = np.clip(np.rint(changed), limits.min, top)
        result: Numbers = np.where(keep, self.stored, changed.astype(kind))
        return result


def describe(samples: Samples) -> tuple[str, ...]:
    """Describe how the values differ from those of a photograph."""
    notes = []
    kind = samples.stored.dtype
    if kind.name not in _PHOTO_TYPES and (samples.low, samples.high) != (0.0, 1.0):
        notes.append(f"holds values from {samples.low:g} to {samples.high:g}")
    if kind == np.uint16 and samples.high < 65535:
        notes.append(f"its 16-bit values fit {samples.bits} bits")
    if samples.holes is not None:
        share = 100 * float(samples.holes.mean())
        notes.append(f"{share:.2g} % of its samples hold no data")
    return tuple(notes)


def describe_scaled(samples: Samples, top: int) -> tuple[str, ...]:
    """Describe the conversion of the values for a file that holds only 0 to `top`."""
    notes = []
    if (samples.low, samples.high) != (0.0, float(top)):
        notes.append(f"values from {samples.low:g} to {samples.high:g} become 0 to {top}")
    if samples.holes is not None:
        notes.append("samples without data become black")
    return tuple(notes)


def samples_of(colour: Numbers, alpha: Numbers | None, nodata: float | None) -> Samples | None:
    """Describe (H, W, C) samples that are not simply those of a photograph; None where they are.

    `nodata` is the number by which the file marks samples that hold none. Raises UnfitError when there is no
    picture in them.
    """
    holes = _holes(colour, nodata)
    valid = colour if holes is None else colour[~holes]
    if valid.size == 0:
        raise UnfitError("none of its samples holds a value")
    if colour.dtype.name in _PHOTO_TYPES:
        top, stuck = _narrow_top(valid) if colour.dtype == np.uint16 else (None, None)
        if stuck is not None:
            holes = colour == stuck if holes is None else holes | (colour == stuck)
        if top is None and holes is None:
            return None
        return Samples(colour, holes, 0.0, float(top or np.iinfo(colour.dtype).max), alpha)
    least, most = float(valid.min()), float(valid.max())
    if colour.dtype == np.float32 and least >= 0 and most <= 1:
        return None if holes is None else Samples(colour, holes, 0.0, 1.0, alpha)
    if marks := _usual_marks(valid):
        marked = np.isin(colour, marks)
        holes = marked if holes is None else holes | marked
        valid = colour[~holes]
    low, high = _robust_range(valid)
    if colour.dtype == np.float32 and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    room = _FAR * (high - low)
    if least < low - room or most > high + room:
        with np.errstate(invalid="ignore"):
            far = (colour < low - room) | (colour > high + room)
        holes = far if holes is None else holes | far
    return Samples(colour, holes, low, high, alpha)


def fill(values: Numbers, known: Mask) -> Numbers:
    """Fill samples of (H, W, C) that are not `known` with the mean of their surroundings, near or far.

    The picture is halved until nothing is unknown, and each unknown value taken from the next smaller one.
    """
    if known.all() or not known.any():
        return values
    height, width = values.shape[:2]
    edge = ((0, height % 2), (0, width % 2), (0, 0))
    shape = (height + 1) // 2, 2, (width + 1) // 2, 2, values.shape[2]
    weight = np.pad(known, edge).reshape(shape).sum(axis=(1, 3))
    total = np.pad(np.where(known, values, 0), edge).reshape(shape).sum(axis=(1, 3))
    smaller = fill((total / np.maximum(weight, 1)).astype(values.dtype), weight > 0)
    larger = smaller.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(known, values, larger)


def _holes(colour: Numbers, nodata: float | None) -> Mask | None:
    """Mask of samples that are the no-data value, NaN or infinite; None = none are."""
    if np.issubdtype(colour.dtype, np.floating):
        holes = ~np.isfinite(colour)
        if nodata is not None:
            holes |= colour == colour.dtype.type(nodata)
    elif nodata is not None and np.isfinite(nodata):
        holes = colour == nodata
    else:
        return None
    return holes if holes.any() else None


def _narrow_top(values: Numbers) -> tuple[int | None, int | None]:
    """The largest number of 8 to 12 or of 14 bits, where the largest value there is comes close to it.

    Defective pixels and no-data values, which share one number far above the others, do not count; the second
    value is that number.
    """
    most = int(values.max())
    if top := _top_near(most):
        return top, None
    others = values[values < most]
    following = int(others.max()) if others.size else 0
    top = _top_near(following)
    return (top, most) if top and most - following > _FAR * following else (None, None)


def _top_near(most: int) -> int | None:
    tops = ((1 << bits) - 1 for bits in _NARROW)
    return next((top for top in tops if top * 15 // 16 < most <= top), None)


def _usual_marks(valid: Numbers) -> list[float]:
    """Common no-data values whose distance from all other values exceeds the spread of those."""
    values = valid.ravel()[:: max(1, valid.size // _SAMPLED)].astype(np.float64)
    found: list[float] = []
    while values.size:
        ends = ((float(values.min()), 1.0), (float(values.max()), -1.0))
        apart = (
            end
            for end, sign in ends
            if end in _MARKS and _without_lone_end(values, sign, far=1.0).size < values.size
        )
        if (mark := next(apart, None)) is None:
            break
        found.append(mark)
        values = values[values != mark]
    return found


def _robust_range(valid: Numbers) -> tuple[float, float]:
    """Lowest and highest value, without those far outside; 0 and 1 where the values come close to them.

    A single number far from all others marks no data, however often it occurs.
    """
    values = valid.ravel()[:: max(1, valid.size // _SAMPLED)].astype(np.float64)
    for _ in range(4):  # there may be such numbers at both ends, and two at one end
        trimmed = _without_lone_end(_without_lone_end(values), sign=-1.0)
        if trimmed.size == values.size:
            break
        values = trimmed
    low, high = (float(edge) for edge in np.percentile(values, (_TAIL, 100 - _TAIL)))
    least, most = float(values.min()), float(values.max())
    span = high - low
    low = least if least >= low - span else low
    high = most if most <= high + span else high
    if 0 <= low <= 0.25 * high:
        low = 0.0
    if low == 0 and 0 < high < 1:
        high = 1.0
    return (low, high) if high > low else (low, low + 1)


def _without_lone_end(
    values: NDArray[np.float64], sign: float = 1.0, far: float = _FAR
) -> NDArray[np.float64]:
    """Drop the lowest number (for -1 the highest) if it is far from the others relative to their spread."""
    signed = values * sign
    rest = signed[signed > signed.min()]
    if rest.size == 0:
        return values
    gap, spread = float(rest.min() - signed.min()), float(np.percentile(rest, 99.9) - rest.min())
    return rest * sign if spread > 0 and gap > far * spread else values

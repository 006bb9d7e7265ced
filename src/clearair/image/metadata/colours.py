"""Colour spaces that files state in numbers, and their ICC profiles.

Sources: ITU-T H.273 (code points of cICP and nclx), PNG third edition (gAMA, cHRM), ICC.1:2022 (profiles).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.image.metadata.profiles import to_srgb_curve

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue."""

_D65 = (0.3127, 0.3290)
SRGB_PRIMARIES: Chromaticities = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB_PRIMARIES,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (0.310, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
_UNSPECIFIED = 2
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
# Viewers treat the curves of video (BT.709 and similar) as that of sRGB, as browsers do.
_SRGB_CURVES = frozenset({1, 2, 6, 13, 14, 15})
_HDR = {16: "PQ", 18: "HLG"}
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True)
class Colours:
    """The colour space of the values of a picture."""

    primaries: Chromaticities = SRGB_PRIMARIES
    gamma: float | None = None
    """The exponent from values to light; None = the curve of sRGB."""
    cicp: tuple[int, int, int, int] | None = None
    """Primaries, transfer, matrix and full range by H.273, as the file says it."""
    unsayable: str = ""
    """Such as "HDR colours (PQ)" if no profile can express them; empty otherwise."""

    @classmethod
    def of_cicp(cls, primaries: int, transfer: int, matrix: int = 0, full_range: int = 1) -> Colours | None:
        """Colours by code points; None when both are unspecified."""
        if primaries == transfer == _UNSPECIFIED:
            return None
        chromaticities = _PRIMARIES.get(primaries, SRGB_PRIMARIES)
        unsayable = ""
        if transfer in _HDR:
            unsayable = f"HDR colours ({_HDR[transfer]})"
        elif primaries not in (_UNSPECIFIED, *_PRIMARIES) or transfer not in {*_SRGB_CURVES, *_GAMMAS}:
            unsayable = f"colours of the video kind {primaries}/{transfer}"
        elif not full_range:
            unsayable = "colours of limited range"
        codes = (primaries, transfer, matrix, full_range)
        return cls(chromaticities, _GAMMAS.get(transfer), codes, unsayable)

    @classmethod
    def of_png(cls, gamma: bytes | None, chromaticities: bytes | None) -> Colours | None:
        """Colours by the chunks gAMA and cHRM; None when these say nothing, or nothing that makes sense."""
        exponent, primaries = None, SRGB_PRIMARIES
        if gamma and len(gamma) == 4 and (value := int.from_bytes(gamma, "big")):
            exponent = 100_000 / value
        if chromaticities and len(chromaticities) == 32:
            values = tuple(value / 100_000 for value in struct.unpack(">8I", chromaticities))
            white_x, white_y, red_x, red_y, green_x, green_y, blue_x, blue_y = values
            primaries = (white_x, white_y, red_x, red_y, green_x, green_y, blue_x, blue_y)
        if exponent is not None and not 0.1 <= exponent <= 10:
            exponent = None
        if not _is_plausible(primaries):
            primaries = SRGB_PRIMARIES
        colours = cls(primaries, exponent)
        return None if colours.is_srgb else colours

    @property
    def is_srgb(self) -> bool:
        """Whether they mean what a picture without a profile means."""
        near = np.allclose(self.primaries, SRGB_PRIMARIES, atol=5e-4)
        return self.gamma is None and near and not self.unsayable

    @property
    def is_steep(self) -> bool:
        """Whether 8 bits are too few for these values: near black, one step is many steps of sRGB."""
        return self.gamma is not None and self.gamma < 1.6

    def profile(self, *, grey: bool) -> bytes | None:
        """Return an ICC profile that means the same; None for sRGB and for what no profile can say."""
        if self.is_srgb or self.unsayable or (grey and self.gamma is None):
            return None
        white, columns = _adapted(self.primaries)
        curve = _parametric(*(_SRGB_CURVE if self.gamma is None else (self.gamma,)))
        tags = {b"wtpt": _xyz(_D50)}
        if grey:
            return _profile(b"GRAY", {**tags, b"kTRC": curve})
        tags |= {b"chad": b"sf32" + bytes(4) + b"".join(_fixed(value) for value in white.ravel())}
        for letter, column in zip((b"r", b"g", b"b"), columns.T, strict=True):
            tags |= {letter + b"XYZ": _xyz(column), letter + b"TRC": curve}
        return _profile(b"RGB ", tags)

    def in_srgb_curve(self) -> tuple[Colours, Callable[[NDArray[Any]], NDArray[Any]]]:
        """The same primaries with the curve of sRGB, and what makes such values of these, in [0, 1]."""
        gamma = self.gamma or 1.0

        def convert(values: NDArray[Any]) -> NDArray[Any]:
            return to_srgb_curve(np.power(values.astype(np.float64), gamma))

        return Colours(self.primaries), convert


def is_grey_profile(icc: bytes | None) -> bool:
    """Whether a profile is a grey one, which does not describe red, green and blue."""
    return icc is not None and icc[16:20] == b"GRAY"


def _is_plausible(primaries: Chromaticities) -> bool:
    ys, xys = primaries[1::2], np.array(primaries).reshape(4, 2)
    if min(ys) <= 0 or (xys > 1).any():
        return False
    red, green, blue = xys[1:]
    area = (green - red)[0] * (blue - red)[1] - (green - red)[1] * (blue - red)[0]
    return bool(abs(area) > 1e-4)


def _adapted(primaries: Chromaticities) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return how white is adapted to D50 (3, 3), and XYZ of red, green and blue under D50 as columns."""
    xyz = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in np.array(primaries).reshape(4, 2)])
    white, columns = xyz[0], xyz[1:].T
    columns = columns * np.linalg.solve(columns, white)
    scale = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
    adaptation = np.linalg.inv(_BRADFORD) @ scale @ _BRADFORD
    return adaptation, adaptation @ columns


def _parametric(*parameters: float) -> bytes:
    """A curve x^g, or ((a x + b)^g, c x below d) by five parameters."""
    kind = {1: 0, 5: 3}[len(parameters)]
    return struct.pack(">4s4xHxx", b"para", kind) + b"".join(_fixed(value) for value in parameters)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: NDArray[Any]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(value) for value in values)


def _text(words: str) -> bytes:
    encoded = words.encode("utf-16-be")
    return struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", len(encoded), 28) + encoded


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A display profile of version 4."""
    tags = {b"desc": _text("Built from the picture's own numbers"), b"cprt": _text("No copyright"), **tags}
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x04400000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += b"".join(_fixed(value) for value in _D50)
    return header.ljust(128, b"\0") + table + body

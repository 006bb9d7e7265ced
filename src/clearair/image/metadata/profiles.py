"""Curves of ICC profiles, which say how much light a value stands for (ICC.1:2022, 10.6 and 10.18)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Curve = Callable[[NDArray[Any]], NDArray[Any]]
"""Makes other values of values in [0, 1]; any shape."""

_CURVES = {b"RGB ": (b"rTRC", b"gTRC", b"bTRC"), b"GRAY": (b"kTRC",)}
_TABLES = frozenset({b"A2B0", b"A2B1", b"A2B2", b"B2A0", b"B2A1", b"B2A2", b"D2B0", b"D2B1", b"D2B2"})
_HEADER = 128
_MOST_TAGS = 200
_ENTRIES = 1024
_STEP = 3.0
"""Levels of the sRGB curve that a step of 8 bits may span."""


def in_srgb_curve(icc: bytes | None) -> tuple[bytes, tuple[Curve, ...]] | None:
    """Return the profile with the curve of sRGB, and what makes such values of its own, a curve each channel.

    None for a profile whose own curves need only 8 bits, and for one that is not described by curves alone.
    """
    lights = _lights(icc)
    if icc is None or not any(_is_steep(light) for light in lights):
        return None
    steps = (_to_light(np.linspace(0, 1, _ENTRIES)) * 65535 + 0.5).astype(">u2")
    curve = struct.pack(">4s4xI", b"curv", _ENTRIES) + steps.tobytes()
    profile = _with_tags(icc[:_HEADER], _tags(icc) | dict.fromkeys(_CURVES[icc[16:20]], curve))
    return profile, tuple(_to_srgb(light) for light in lights)


def grey_to_srgb(icc: bytes | None) -> Curve | None:
    """What makes sRGB values of those of a profile of grey; None where it is not described by a curve.

    A transform of LittleCMS is off by several levels where values are linear and dark.
    """
    lights = _lights(icc)
    return _to_srgb(lights[0]) if len(lights) == 1 else None


def _lights(icc: bytes | None) -> tuple[Curve, ...]:
    """The curves of a profile that is described by nothing else; empty for others."""
    if icc is None:
        return ()
    try:
        tags = _tags(icc)
        names = _CURVES.get(icc[16:20], ())
        return () if _TABLES & set(tags) else tuple(_light(tags[name]) for name in names)
    except (KeyError, ValueError, struct.error):
        return ()


def to_srgb_curve(light: NDArray[Any]) -> NDArray[Any]:
    """Return the values by which sRGB states amounts of light in [0, 1]."""
    bright = 1.055 * np.power(np.maximum(light, 0.0031308), 1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, bright)


def _to_light(values: NDArray[Any]) -> NDArray[Any]:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _to_srgb(light: Curve) -> Curve:
    return lambda values: to_srgb_curve(light(values))


def _is_steep(light: Curve) -> bool:
    """Whether 8 bits are too few: near black one step of them is many of sRGB."""
    return bool(np.diff(255 * to_srgb_curve(light(np.arange(256) / 255))).max() > _STEP)


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, _HEADER)
    if count > _MOST_TAGS:
        raise ValueError("implausibly many tags")
    entries = (struct.unpack_from(">4sII", icc, _HEADER + 4 + 12 * index) for index in range(count))
    return {name: icc[start : start + size] for name, start, size in entries}


def _with_tags(header: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A profile of these tags; equal ones are stored once."""
    body, places = b"", dict[bytes, int]()
    first = _HEADER + 4 + 12 * len(tags)
    for data in tags.values():
        if data not in places:
            places[data] = first + len(body)
            body += data + bytes(-len(data) % 4)
    table = b"".join(struct.pack(">4sII", name, places[data], len(data)) for name, data in tags.items())
    size = struct.pack(">I", first + len(body))
    # The identifier of a profile is a checksum of it, and may be zero.
    return size + header[4:84] + bytes(16) + header[100:] + struct.pack(">I", len(tags)) + table + body


def _light(tag: bytes) -> Curve:
    """The curve in a tag. Raises ValueError, or struct.error, for one that makes no sense."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count < 2:
            power = 1.0 if count == 0 else struct.unpack_from(">H", tag, 12)[0] / 256
            return lambda values: np.power(values, power)
        steps = np.frombuffer(tag, ">u2", count, 12) / 65535
        return lambda values: np.interp(values, np.linspace(0, 1, count), steps)
    if tag[:4] != b"para":
        raise ValueError("no curve")
    kind = struct.unpack_from(">H", tag, 8)[0]
    counts = (1, 3, 4, 5, 7)
    if kind >= len(counts):
        raise ValueError("no curve")
    given = [value / 65536 for value in struct.unpack_from(f">{counts[kind]}i", tag, 12)]
    return _parametric(kind, given)


def _parametric(kind: int, given: list[float]) -> Curve:
    """(a x + b)^g + e from d on, below it c x + f; the kinds leave out some of these."""
    power, a, b, c, d, e, f = (*given, *(1.0, 0.0, 0.0, 0.0, 0.0, 0.0)[len(given) - 1 :])
    if kind in (1, 2):
        d, e, c, f = (-b / a if a else 0.0), (c if kind == 2 else 0.0), 0.0, (c if kind == 2 else 0.0)

    def light(values: NDArray[Any]) -> NDArray[Any]:
        raised = np.power(np.maximum(a * values + b, 0), power) + e
        return np.clip(np.where(values >= d, raised, c * values + f), 0, 1)

    return light

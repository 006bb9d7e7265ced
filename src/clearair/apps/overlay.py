"""Draw the percepts of a photo: tinted regions, and below them the quality and the damage in each.

Shapes: H x W pixels of the photo; h x w of the panel beneath it.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyvips
from numpy.typing import NDArray

from clearair.image import Photo, to_depth
from clearair.image.forking import using_libvips
from clearair.percepts import LEVELS, Percepts

_LARGEST = 1024
"""Longer side of a layer, in pixels."""
_NARROWEST = 420
"""Pixels that a line of the panel needs."""
_BACK, _FRONT, _BAR = 24, 235, 110
_NAMED = 0.3
"""Degradations from this probability on are named, the three likeliest of them."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Line:
    """One line of the panel: a square of a region's colour or a bar, and words."""

    words: str
    colour: tuple[int, ...] | None = None
    bar: float | None = None
    """Length, in [0, 1]."""


def draw_percepts(pixels: NDArray[np.generic], percepts: Percepts) -> Photo:
    """Return (H, W, 3) pixels with their regions tinted, and below them the text of `lines_of`."""
    tinted = draw_regions(pixels, percepts.labels).pixels
    height, width = tinted.shape[:2]
    panel = _panel(lines_of(percepts), max(width, _NARROWEST), min(60, max(14, width // 50)))
    canvas = np.full((height + len(panel), panel.shape[1], 3), _BACK, np.uint8)
    canvas[:height, :width] = tinted
    canvas[height:] = panel
    return Photo(canvas)


def draw_regions(pixels: NDArray[np.generic], labels: Pixels) -> Photo:
    """Tint (H, W, 3) pixels by the label (H, W) of their region; label 0, no region, stays as it is."""
    plain = to_depth(pixels, np.dtype(np.uint8))
    tinted = (plain + _palette()[labels]) // 2  # half and half, without floating-point copies of the photo
    return Photo(np.where((labels > 0)[..., None], tinted.astype(np.uint8), plain))


def region_layer(labels: Pixels) -> Photo:
    """The tints of `draw_regions` alone, to lay over a picture: transparent where no region is.

    `labels` is (H, W); the layer keeps every n-th pixel, so that neither side has more than 1,024.
    """
    step = -(-max(labels.shape) // _LARGEST)
    fewer = labels[::step, ::step]
    alpha = np.where(fewer > 0, np.uint8(127), np.uint8(0))  # half and half, as there
    return Photo(_palette()[fewer].astype(np.uint8), alpha=alpha)


def lines_of(percepts: Percepts) -> list[Line]:
    """Return the score, the probability of each level, and the area and damage of each region."""
    values = percepts.to_dict()
    lines = [Line(f"quality {values['score']:.1f} of 5")]
    lines += [Line(f"{level} {values['levels'][level]:.0%}", bar=values["levels"][level]) for level in LEVELS]
    palette = _palette()
    lines.append(Line(f"whole picture: {_damage_words(values['degradations'])}"))
    for region in sorted(values["regions"], key=lambda region: -region["area"]):
        label = region["label"]
        words = f"region {label}" if label else "elsewhere"
        colour = tuple(palette[label].tolist()) if label else None
        lines.append(
            Line(f"{words} ({region['area']:.0%}): {_damage_words(region['degradations'])}", colour=colour)
        )
    return lines


def _damage_words(degradations: dict[str, float]) -> str:
    if not degradations:
        return "this perceiver names no damage"
    ranked = sorted(degradations.items(), key=lambda item: -item[1])[:3]
    found = ", ".join(f"{name} {probability:.0%}" for name, probability in ranked if probability >= _NAMED)
    return found or "nothing"


@cache
def _palette() -> NDArray[np.uint16]:
    # Steps of the golden ratio keep the hues of neighbouring labels apart, however many there are.
    hues = [colorsys.hsv_to_rgb(label * 0.618 % 1, 0.8, 1.0) for label in range(256)]
    return (255 * np.array(hues)).astype(np.uint16)


def _panel(lines: list[Line], width: int, size: int) -> Pixels:
    """(h, w, 3): each line `size` pixels high, with a margin."""
    step, margin = size * 8 // 5, size // 2
    panel: Pixels = np.full((step * len(lines) + 2 * margin, width, 3), _BACK, np.uint8)
    for index, line in enumerate(lines):
        row, left = margin + index * step, margin
        if line.bar is not None:
            panel[row : row + size, left : left + round(line.bar * (width - 2 * margin))] = _BAR
        if line.colour is not None:
            panel[row : row + size, left : left + size] = line.colour
            left += step
        _write(panel[row:, left:], line.words, size)
    return panel


def _write(panel: Pixels, words: str, size: int) -> None:
    """Draw text at the upper left of a view, cut to the available width."""
    with using_libvips():
        drawn = pyvips.Image.text(words, font="sans 10", dpi=size * 6).numpy()
    cover = np.asarray(drawn, np.float32)[: panel.shape[0], : panel.shape[1], None] / 255
    under = panel[: cover.shape[0], : cover.shape[1]]
    under[:] = (under + (_FRONT - under.astype(np.float32)) * cover).round().astype(np.uint8)

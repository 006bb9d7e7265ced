"""What a perceiver found, as NumPy values: how good, where, and what is wrong.

Shapes: B images, H x W pixels, N regions, K kinds of degradation, Q / D_c / D_d entries of the
three embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = ("excellent", "good", "fair", "poor", "bad")
"""The five quality levels (ITU-R BT.500), worth 5, 4, 3, 2 and 1."""

Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Quality:
    """How good each of B images is."""

    score: Floats
    """(B,) in 1..5, the expectation of the levels."""
    levels: Floats
    """(B, 5) probabilities from excellent to bad; each row sums to one."""
    embedding: Floats
    """(B, Q)."""


@dataclass(frozen=True)
class Degradation:
    """What is wrong with each of B images."""

    content: Floats
    """(B, D_c) what the image shows; rows have length one."""
    degradation: Floats
    """(B, D_d) what is wrong with it; rows have length one."""
    names: tuple[str, ...]
    """The K kinds that the perceiver knows."""
    probabilities: Floats | None
    """(B, K) that each kind is present; None when the perceiver has no words for what it sees."""
    local: tuple[Floats, ...] | None = None
    """One (N, D_d) an image, a row a region label, when label maps were given."""


@dataclass(frozen=True)
class Percepts:
    """Everything perceived about one image."""

    score: float
    """Quality in 1..5; 5 is flawless."""
    levels: Floats
    """(5,) probabilities from excellent to bad."""
    quality: Floats
    """(Q,) the quality embedding."""
    labels: Labels
    """(H, W) the region of each pixel, in [0, N); 0 = no region claims it, 1 = the largest."""
    content: Floats
    """(D_c,) what the image shows; length one."""
    degradation: Floats
    """(D_d,) what is wrong with the whole image; length one."""
    local_degradation: Floats
    """(N, D_d) what is wrong in each region; a row of a region without pixels equals `degradation`."""
    names: tuple[str, ...]
    """The K kinds of degradation."""
    probabilities: Floats
    """(K,) that each kind is present in the image."""
    local_probabilities: Floats
    """(N, K) that each kind is present in each region."""
    shares: Floats
    """(3,) in [0, 1]: how far tone, everything, and what is coarse may be changed (`confidence.Shares`)."""

    @property
    def tone(self) -> float:
        """How far exposure, colour and haze may be corrected, in [0, 1]."""
        return float(self.shares[0])

    @property
    def change(self) -> float:
        """How far the picture may be changed at all, in [0, 1]."""
        return float(self.shares[1])

    @property
    def coarse(self) -> float:
        """How freely the detail network may change the mean colour of a place, in [0, 1]."""
        return float(self.shares[2])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the embeddings and the label map.

        `change` and `tone` in [0, 1] say how far the picture and its exposure and colour will be changed.
        `regions` lists only labels with pixels; `area` is their share of the image.
        """
        areas = label_areas(self.labels, len(self.local_probabilities)) / self.labels.size
        return {
            "score": round(float(self.score), 3),
            "levels": _named(LEVELS, self.levels),
            "change": round(self.change, 3),
            "tone": round(self.tone, 3),
            "degradations": _named(self.names, self.probabilities),
            "regions": [
                {
                    "label": int(label),
                    "area": round(float(areas[label]), 4),
                    "degradations": _named(self.names, self.local_probabilities[label]),
                }
                for label in np.flatnonzero(areas)
            ],
        }


def label_areas(labels: NDArray[Any], count: int) -> NDArray[np.int64]:
    """(H, W) -> (N,) pixels of each of `count` labels, in strips: `bincount` makes 8 bytes of every label."""
    areas = np.zeros(count, np.int64)
    for top in range(0, len(labels), 256):
        areas += np.bincount(labels[top : top + 256].ravel(), minlength=count)
    return areas


def _named(names: tuple[str, ...], values: Floats) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in zip(names, values, strict=True)}

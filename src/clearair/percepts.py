"""What a perceiver finds in pictures: how good, where, and what is wrong.

`Guidance` is the value passed from the perceivers to a network. `Percepts` is that value for one picture,
plus the values that people read: the score, and the probabilities of the kinds of damage.

Shapes: B images, H x W pixels, N regions, K kinds of damage, Q / D_c / D_d entries of the three embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ConfigError

LEVELS = ("excellent", "good", "fair", "poor", "bad")
"""The five quality levels (ITU-R BT.500), worth 5, 4, 3, 2 and 1."""

Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]

_DIMENSIONS = {
    "quality": 2,
    "labels": 3,
    "content": 2,
    "degradation": 2,
    "local_degradation": 3,
    "tone": 1,
    "change": 1,
    "coarse": 1,
}


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
    """(B, K) probabilities that each kind is present; None when the perceiver names no kinds."""
    local: tuple[Floats, ...] | None = None
    """One (N, D_d) an image, a row a region label, when label maps were given."""
    evidence: Floats | None = None
    """(B, K) in [0, 1], how far each kind can be told from its absence: a factor of the probabilities of
    regions; None for 1."""


@dataclass(frozen=True, eq=False)
class Guidance:
    """All inputs of a network for a batch besides its pixels: NumPy arrays, or PyTorch tensors.

    Raises ConfigError when the shapes do not belong together.
    """

    quality: Any
    """(B, Q) how degraded the whole image is."""
    labels: Any
    """(B, H, W) integers in [0, N): the region of each pixel; 0 = no region claims it."""
    content: Any
    """(B, D_c) what the image shows."""
    degradation: Any
    """(B, D_d) what is wrong with the whole image."""
    local_degradation: Any
    """(B, N, D_d) what is wrong in each region; a row of a region without pixels equals `degradation`."""
    tone: Any
    """(B,) in [0, 1]: how far exposure, colour and haze may be corrected; 0 in doubt."""
    change: Any
    """(B,) in [0, 1]: how far the image may be changed at all; 0 when nothing seems to be wrong with it."""
    coarse: Any
    """(B,) in [0, 1]: how freely the detail network may change the mean colour of a place."""

    def __post_init__(self) -> None:
        batch = self.labels.shape[0]
        for name, dimensions in _DIMENSIONS.items():
            shape = tuple(getattr(self, name).shape)
            if len(shape) != dimensions or shape[0] != batch:
                raise ConfigError(
                    f"Guidance.{name} must have {dimensions} dimensions and {batch} entries in the first; "
                    f"got {shape}."
                )
        if self.local_degradation.shape[2] != self.degradation.shape[1]:
            raise ConfigError(
                f"Guidance: local embeddings have {self.local_degradation.shape[2]} entries, "
                f"the global one {self.degradation.shape[1]}."
            )

    @property
    def regions(self) -> int:
        """N, the number of labels, the background 0 included."""
        return int(self.local_degradation.shape[1])

    def window(self, top: int, left: int, height: int, width: int) -> Guidance:
        """The same judgement for a window of the image: only the label map is cropped."""
        return replace(self, labels=self.labels[:, top : top + height, left : left + width])

    def map(self, change: Callable[[Any], Any]) -> Guidance:
        """Apply a function to every array."""
        return Guidance(**{field.name: change(getattr(self, field.name)) for field in fields(self)})

    def to(self, device: Any) -> Guidance:
        """Copy tensors to a device."""
        return self.map(lambda value: value.to(device))

    def part(self, rows: slice) -> Guidance:
        """The judgement of some of the images."""
        return self.map(lambda value: value[rows])

    def permuted(self, order: Any) -> Guidance:
        """Exchange the judgements between images: `order` (B,) is a permutation."""
        return self.map(lambda value: value[order])


@dataclass(frozen=True, eq=False, repr=False)
class Percepts:
    """Everything perceived in one image."""

    score: float
    """Quality in 1..5; 5 is flawless."""
    levels: Floats
    """(5,) probabilities from excellent to bad."""
    guidance: Guidance
    """The guidance of a network: a batch of one, as NumPy arrays."""
    names: tuple[str, ...]
    """The K kinds of damage that the perceiver has names for."""
    probabilities: Floats
    """(K,) that each kind is present in the image."""
    local_probabilities: Floats
    """(N, K) that each kind is present in each region."""

    @property
    def labels(self) -> Labels:
        """(H, W) the region of each pixel, in [0, N); 0 = no region claims it, 1 = the largest."""
        labels: Labels = self.guidance.labels[0]
        return labels

    @property
    def tone(self) -> float:
        """How far exposure, colour and haze may be corrected, in [0, 1]."""
        return float(self.guidance.tone[0])

    @property
    def change(self) -> float:
        """How far the picture may be changed at all, in [0, 1]."""
        return float(self.guidance.change[0])

    def __repr__(self) -> str:
        height, width = self.labels.shape
        kinds = _named(self.names, self.probabilities).items()
        found = ", ".join(f"{name} {value:.2f}" for name, value in kinds) or "no names for damage"
        return f"Percepts({width} x {height} px, quality {self.score:.1f} of 5, {found})"

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


def _named(names: Sequence[str], values: Floats) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in zip(names, values, strict=True)}

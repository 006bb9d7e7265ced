"""Which pictures of a data folder are held out: never trained on, by the restorer or by its perceivers.

The one place that knows; training, validation and benchmarks all ask here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

HELD_OUT = {"clean": 20, "rain": 20, "lowlight": 8}
"""Of the pictures or pairs below `train/KIND`, sorted by path, every n-th is held out, the first included."""


def split(items: Sequence[T], kind: str) -> tuple[list[T], list[T]]:
    """Divide the sorted pictures or pairs of a kind into those for training and those held out."""
    step = HELD_OUT[kind]
    return [item for index, item in enumerate(items) if index % step], list(items[::step])

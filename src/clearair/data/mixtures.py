"""Which kinds of damage come together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch

from clearair.data.degradations import CDD11, KINDS

ON_TOP = ("noise", "jpeg")
"""What a camera adds to whatever else is wrong."""
BELOW = tuple(kind for kind in KINDS if kind not in ON_TOP)
MIXTURES = tuple(kinds for kinds in CDD11 if len(kinds) > 1)
"""Those of CDD-11, of weather and darkness."""

T = TypeVar("T")


def draw_mixture(generator: torch.Generator) -> tuple[str, ...]:
    """Two or more kinds: one with noise or JPEG on top, any two, or those of CDD-11 with or without such."""
    roll = float(torch.rand((), generator=generator))
    if roll < 0.3:
        return (_one_of(BELOW, generator), _one_of(ON_TOP, generator))
    if roll < 0.45:
        return tuple(KINDS[index] for index in torch.randperm(len(KINDS), generator=generator)[:2].tolist())
    weather = _one_of(MIXTURES, generator)
    return (*weather, _one_of(ON_TOP, generator)) if roll < 0.7 else weather


def _one_of(choices: Sequence[T], generator: torch.Generator) -> T:
    return choices[int(torch.randint(len(choices), (), generator=generator))]

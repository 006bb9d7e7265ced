"""Mixtures of kinds of damage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch

from clearair.data.degradations import CDD11
from clearair.kinds import NAMES, REGISTRY

ON_TOP = tuple(kind.name for kind in REGISTRY if kind.from_camera)
"""Kinds that a camera adds to other damage."""
BELOW = tuple(name for name in NAMES if name not in ON_TOP)
OF_CDD11 = tuple(kinds for kinds in CDD11 if len(kinds) > 1)
"""The mixtures of CDD-11, of weather and darkness."""
MIXTURES = (*OF_CDD11, *((kind.name, partner) for kind in REGISTRY for partner in kind.partners))
"""Those, and the pairs that the registry names."""

T = TypeVar("T")


def draw_mixture(generator: torch.Generator) -> tuple[str, ...]:
    """Two or more kinds: one with noise or JPEG on top, any two, or one of MIXTURES with or without such."""
    roll = float(torch.rand((), generator=generator, dtype=torch.float32))
    if roll < 0.3:
        return (_one_of(BELOW, generator), _one_of(ON_TOP, generator))
    if roll < 0.45:
        return tuple(NAMES[index] for index in torch.randperm(len(NAMES), generator=generator)[:2].tolist())
    weather = _one_of(MIXTURES, generator)
    return (*weather, _one_of(ON_TOP, generator)) if roll < 0.7 else weather


def _one_of(choices: Sequence[T], generator: torch.Generator) -> T:
    return choices[int(torch.randint(len(choices), (), generator=generator))]

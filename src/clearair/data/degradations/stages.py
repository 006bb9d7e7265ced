"""The stages between scene and file at which damage acts, and the interface of every kind's module.

Shapes: B pictures that have the kind, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib import import_module
from typing import Protocol, cast

import torch
from torch import Tensor

from clearair.kinds import NAMES

Step = Callable[[Tensor], Tensor]
"""(B, 3, H, W) in [0, 1] -> the same, damaged. All random values are already drawn."""


class Stage(IntEnum):
    """The way of the light, in the order in which damage is applied."""

    SCENE = 0
    """The light on the scene itself."""
    AIR = 1
    """Between the scene and the camera."""
    EXPOSURE = 2
    """How much light is let in."""
    LENS = 3
    """On the lens and within it, and how the camera moves."""
    SENSOR = 4
    """What the sensor records of the light."""
    READOUT = 5
    """What is added to the sensor's values."""
    FILE = 6
    """How the picture is stored."""


@dataclass(frozen=True)
class Conditions:
    """Optional inputs of a kind besides the pictures and their strengths."""

    generator: torch.Generator
    """The source of all randomness."""
    depth: Tensor | None = None
    """(B, 1, H, W) in any unit; 0 all over where it is not known."""
    blur_kernels: Tensor | None = None
    """(N, T, 3) measured ones, as `draw_blur` takes them."""
    sigmas: Sequence[float] = ()
    """Standard deviations that noise may have, in 1/255; empty: any."""


class DamageModule(Protocol):
    """The interface of a kind's module."""

    STAGES: tuple[Stage, ...]
    """Where it acts; mostly in one place."""

    def draw(self, pictures: Tensor, strength: Tensor, conditions: Conditions) -> tuple[Step, ...]:
        """A step for each of STAGES, for (B, 3, H, W) and (B,) in [0, 1].

        It is called before the first step, with the pictures at that stage.
        """


def module_of(name: str) -> DamageModule:
    """The module that draws a kind of damage: the one of that name in this package."""
    return cast(DamageModule, import_module(f"{__package__}.{name}"))


@cache
def in_order() -> tuple[tuple[str, int], ...]:
    """Kinds and the number of their step, as they are applied: by stage, and there as in the registry."""
    stages = {name: module_of(name).STAGES for name in NAMES}
    return tuple(
        (name, stages[name].index(stage)) for stage in Stage for name in NAMES if stage in stages[name]
    )

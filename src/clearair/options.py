"""How a photo is to be restored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clearair.errors import UsageError
from clearair.perception.telling import Damage


@dataclass(frozen=True)
class Options:
    """How a photo, or each frame of a video, is restored. Raises UsageError when the strength is not
    a number in [0, 1]."""

    damage: Damage = "auto"
    """What is wrong with it; whether there are such kinds is for `Restorer.check_damage`."""
    strength: float = 1.0
    """In [0, 1]: how far the restoration replaces the input."""
    keep_tone: bool = False
    """Leave exposure and colour as they are."""
    skip_tiles: bool = True
    """Leave tiles alone in which no visible change is expected."""

    def __post_init__(self) -> None:
        strength = self.strength
        if isinstance(strength, bool) or not isinstance(strength, int | float | np.integer | np.floating):
            raise UsageError(f"The strength is a number in [0, 1], got {strength!r}.")
        if not 0 <= strength <= 1:
            raise UsageError(f"The strength must lie in [0, 1], got {strength}.")

"""How far a perceiver's probabilities allow a picture to be changed: doubt means less change.

Shapes: B images, K kinds of degradation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TONE_KINDS = ("haze", "lowlight", "rain", "snow")
"""Kinds that change exposure, colour or contrast as a whole; rain and snow do by the veil they melt into."""
DOUBT, SURE = 0.4, 0.9
"""Probability up to which nothing is changed, and from which on everything is."""


def tone_share(probabilities: NDArray[np.float32], names: Sequence[str]) -> NDArray[np.float32]:
    """Share in [0, 1] of a change of tone that may be made: (B, K) -> (B,)."""
    columns = [index for index, name in enumerate(names) if name in TONE_KINDS]
    surest = probabilities[:, columns].max(axis=1, initial=0.0)
    share: NDArray[np.float32] = ((surest - DOUBT) / (SURE - DOUBT)).clip(0, 1).astype(np.float32)
    return share

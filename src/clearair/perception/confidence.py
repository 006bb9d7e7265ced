"""How far a perceiver's probabilities allow a picture to be changed: doubt means less change.

Shapes: B images, K kinds of degradation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

TONE_KINDS = ("haze", "lowlight", "rain", "snow")
"""Kinds that change exposure, colour or contrast as a whole; rain and snow do by the veil they melt into."""
TONE_RAMP = (0.8, 0.95)
"""Probability of such a kind up to which the tone stays, and from which on it is corrected in full."""
CHANGE_RAMP = (0.2, 0.5)
"""Probability of any damage up to which nothing is changed, and from which on the network has a free hand."""


def tone_share(probabilities: Floats, names: Sequence[str]) -> Floats:
    """How far exposure, colour and haze may be corrected, in [0, 1]: (B, K) -> (B,)."""
    columns = [index for index, name in enumerate(names) if name in TONE_KINDS]
    return _ramp(probabilities[:, columns], TONE_RAMP)


def change_share(probabilities: Floats) -> Floats:
    """How far the picture may be changed at all, in [0, 1]: (B, K) -> (B,)."""
    return _ramp(probabilities, CHANGE_RAMP)


def _ramp(probabilities: Floats, ramp: tuple[float, float]) -> Floats:
    doubt, sure = ramp
    surest = probabilities.max(axis=1, initial=0.0)
    share: Floats = ((surest - doubt) / (sure - doubt)).clip(0, 1).astype(np.float32)
    return share

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
ONLY_TONE = ("haze", "lowlight")
"""Those of them that are nothing else. Some pictures are meant to look so: in doubt they are left alone."""
TONE_RAMP = (0.8, 0.95)
"""Probability of such a kind up to which the tone stays, and from which on it is corrected in full."""
CHANGE_RAMP = (0.2, 0.5)
"""Probability of other damage up to which nothing is changed, and from which on the hand is free."""


def tone_share(probabilities: Floats, names: Sequence[str]) -> Floats:
    """How far exposure, colour and haze may be corrected, in [0, 1]: (B, K) -> (B,)."""
    return _ramp(probabilities[:, [name in TONE_KINDS for name in names]], TONE_RAMP)


def change_share(probabilities: Floats, names: Sequence[str]) -> Floats:
    """How far the picture may be changed at all, in [0, 1]: (B, K) -> (B,)."""
    only_tone = np.array([name in ONLY_TONE for name in names])
    detail = _ramp(probabilities[:, ~only_tone], CHANGE_RAMP)
    return np.maximum(detail, _ramp(probabilities[:, only_tone], TONE_RAMP))


def _ramp(probabilities: Floats, ramp: tuple[float, float]) -> Floats:
    doubt, sure = ramp
    surest = probabilities.max(axis=1, initial=0.0)
    share: Floats = ((surest - doubt) / (sure - doubt)).clip(0, 1).astype(np.float32)
    return share

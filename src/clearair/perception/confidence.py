"""How far a perceiver's probabilities allow a picture to be changed: doubt means less change.

Shapes: B images, K kinds of degradation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float32]
Ramp = tuple[float, float]

TONE_RAMPS = {"haze": (0.63, 0.66), "lowlight": (0.74, 0.77), "rain": (0.8, 0.95), "snow": (0.8, 0.95)}
"""Kinds that change exposure, colour or contrast as a whole; rain and snow do by the veil they melt into.

The probability of each up to which the tone stays, and from which on it is corrected in full. For haze and
low light just above the surest undamaged photograph (`benchmarks/perceivers.py --only doubt`).
"""
ONLY_TONE = ("haze", "lowlight")
"""Those of them that are nothing else. Some pictures are meant to look so: in doubt they are left alone."""
TONE_WORDS = ("hazy", "low-light", "rainy", "snowy")
"""The same in DA-CLIP's words. Their probabilities share out one between ten kinds of damage, so they
say which, and never whether: such a perceiver leaves the hand free."""
WORDS_RAMP = (0.8, 0.95)
"""The same for all such words together."""
CHANGE_RAMP = (0.2, 0.5)
"""Probability of other damage up to which nothing is changed, and from which on the hand is free."""
COARSE = ("noise", "rain", "raindrop", "snow", "lowlight")
"""Kinds that change the mean colour of a place, not only its detail: noise is clipped, drops and flakes are
large, darkness hides unevenly."""


def tone_share(probabilities: Floats, names: Sequence[str]) -> Floats:
    """How far exposure, colour and haze may be corrected, in [0, 1]: (B, K) -> (B,).

    Of words that share out one, those of `TONE_WORDS` count together. A perceiver without words, K = 0,
    has no doubts: 1.
    """
    if not names:
        return np.ones(len(probabilities), np.float32)
    if share_out(names):
        together = probabilities[:, [name in TONE_WORDS for name in names]].sum(axis=1, keepdims=True)
        return _ramp(together, WORDS_RAMP)
    return _surest(probabilities, names, TONE_RAMPS)


def change_share(probabilities: Floats, names: Sequence[str]) -> Floats:
    """How far the picture may be changed at all, in [0, 1]: (B, K) -> (B,).

    1 when the perceiver cannot say that nothing is wrong: without words, or with words that share out one.
    """
    if not names or share_out(names):
        return np.ones(len(probabilities), np.float32)
    return _surest(probabilities, names, {name: _change_ramp(name) for name in names})


def coarse_share(probabilities: Floats, names: Sequence[str]) -> Floats:
    """How freely the detail network may change the mean colour of a place, in [0, 1]: (B, K) -> (B,).

    Not for blur, which has none to undo, and not through haze: what is left of it is for the whole picture
    to judge, and cleared from windows would leave bright rims and dark patches in the sky. (Where the tone
    is corrected, the mean may still change as the picture's light does.) 1 where `change_share` has no doubt.
    """
    if not names or share_out(names):
        return np.ones(len(probabilities), np.float32)
    needed = _surest(probabilities, names, {name: _change_ramp(name) for name in COARSE})
    return needed * (1 - _surest(probabilities, names, {"haze": TONE_RAMPS["haze"]}))


def shares_of(probabilities: Tensor, names: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """The three shares of a batch (B, K), tone, change, coarse, where it lies: no device is waited for.

    The names must not share out one.
    """

    def surest(ramps: Mapping[str, Ramp]) -> Tensor:
        share = probabilities.new_zeros(len(probabilities))
        for column, name in enumerate(names):
            if name in ramps:
                doubt, sure = ramps[name]
                share = share.maximum(((probabilities[:, column] - doubt) / (sure - doubt)).clamp(0, 1))
        return share

    change = surest({name: _change_ramp(name) for name in names})
    needed = surest({name: _change_ramp(name) for name in COARSE})
    return surest(TONE_RAMPS), change, needed * (1 - surest({"haze": TONE_RAMPS["haze"]}))


def _change_ramp(name: str) -> Ramp:
    return TONE_RAMPS[name] if name in ONLY_TONE else CHANGE_RAMP


def share_out(names: Sequence[str]) -> bool:
    """Whether probabilities of these names sum to one, as DA-CLIP's do, and are not each a yes or no."""
    return not set(names).isdisjoint(TONE_WORDS)


def _surest(probabilities: Floats, names: Sequence[str], ramps: Mapping[str, Ramp]) -> Floats:
    """The largest share that one of these ramps allows, (B, K) -> (B,)."""
    share = np.zeros(len(probabilities), np.float32)
    for column, name in enumerate(names):
        if name in ramps:
            share = np.maximum(share, _ramp(probabilities[:, column : column + 1], ramps[name]))
    return share


def _ramp(probabilities: Floats, ramp: Ramp) -> Floats:
    doubt, sure = ramp
    surest = probabilities.max(axis=1, initial=0.0)
    share: Floats = ((surest - doubt) / (sure - doubt)).clip(0, 1).astype(np.float32)
    return share

"""How far a picture may be changed, given how likely each kind of damage is.

The change balances gain and harm: its share rises along a ramp of the probability, from nothing to
everything, so that likely haze is partly cleared rather than left alone.

Shapes: B images, K kinds of degradation. All functions accept NumPy arrays and PyTorch tensors, and never
wait for a tensor's device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clearair.errors import ConfigError
from clearair.kinds import ONLY_TONE, REGISTRY

Ramp = tuple[float, float]
"""The probability up to which nothing is done, and the one from which on everything is."""

TONE_WORDS = tuple(kind.adjective for kind in REGISTRY if kind.tone)
"""Kinds that change the tone, in DA-CLIP's words. Its ten probabilities sum to one: they rank kinds of damage
but never report a clean picture, so such a perceiver does not limit the change."""
WORDS_RAMP = (0.8, 0.95)
"""The ramp of all such words together."""
COARSE = tuple(kind.name for kind in REGISTRY if kind.coarse)
"""Kinds that change the mean colour of a place, not only its detail: noise is clipped, drops and flakes are
large, darkness hides unevenly."""


def _tone() -> dict[str, Ramp]:
    return {kind.name: kind.tone for kind in sorted(REGISTRY, key=lambda kind: kind.name) if kind.tone}


@dataclass(frozen=True)
class Shares:
    """How far pictures may be changed, each (B,) in [0, 1], as arrays or tensors."""

    tone: Any
    """Of exposure, colour and haze."""
    change: Any
    """Of everything."""
    coarse: Any
    """Of what the detail network does to the mean colour of a place.

    0 for blur, which changes no colours, and for haze: what is left of it must be judged on the whole
    picture. Removed window by window, it would leave bright rims and dark patches in the sky."""


@dataclass(frozen=True)
class Caution:
    """The ramps of a perceiver; they are fitted to undamaged pictures and stored with its weights.

    Raises ConfigError when a ramp does not rise within [0, 1].
    """

    tone: Mapping[str, Ramp] = field(default_factory=_tone)
    """Of kinds that change exposure, colour or contrast as a whole; rain and snow do by their veil."""
    change: Mapping[str, Ramp] = field(default_factory=dict)
    """Ramps for the whole change of each kind; kinds without an entry use `tone`, or else `other`."""
    other: Ramp = (0.2, 0.5)

    def __post_init__(self) -> None:
        for name, ramp in {**self.tone, **self.change, "other kinds": self.other}.items():
            if not (len(ramp) == 2 and 0 <= ramp[0] < ramp[1] <= 1):
                raise ConfigError(f"The ramp of {name} must rise within [0, 1]; got {list(ramp)}.")

    def ramp(self, name: str) -> Ramp:
        """Of everything that is done about a kind."""
        if name in self.change:
            return self.change[name]
        return self.tone[name] if name in ONLY_TONE and name in self.tone else self.other

    def shares(self, probabilities: Any, names: Sequence[str]) -> Shares:
        """(B, K) probabilities of these kinds -> how far each picture may be changed.

        Without names, K = 0, or with probabilities that sum to one, a perceiver cannot report a clean
        picture: then only the tone is limited.
        """
        if not names:
            free = probabilities.sum(1) + 1
            return Shares(free, free, free)
        if share_out(names):
            columns = [index for index, name in enumerate(names) if name in TONE_WORDS]
            together = probabilities[:, columns].sum(1)
            free = 0 * together + 1
            return Shares(_climbed(together, WORDS_RAMP), free, free)
        change = _surest(probabilities, names, {name: self.ramp(name) for name in names})
        needed = _surest(probabilities, names, {name: self.ramp(name) for name in COARSE})
        haze = {name: ramp for name, ramp in self.tone.items() if name == "haze"}
        coarse = needed * (1 - _surest(probabilities, names, haze))
        return Shares(_surest(probabilities, names, self.tone), change, coarse)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        ramps = {"tone": self.tone, "change": self.change}
        plain = {key: {name: list(ramp) for name, ramp in value.items()} for key, value in ramps.items()}
        return {**plain, "other": list(self.other)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Caution:
        """The opposite of `to_dict`. Raises ConfigError."""
        try:
            ramps = [
                {str(name): _pair(ramp) for name, ramp in values[key].items()} for key in ("tone", "change")
            ]
            other = _pair(values["other"])
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError("needs the ramps tone, change and other, two numbers each") from error
        return cls(ramps[0], ramps[1], other)


def _pair(ramp: Any) -> Ramp:
    low, high = ramp
    return float(low), float(high)


def share_out(names: Sequence[str]) -> bool:
    """Whether the probabilities of these names sum to one, as DA-CLIP's do, instead of being independent."""
    return not set(names).isdisjoint(TONE_WORDS)


def _surest(probabilities: Any, names: Sequence[str], ramps: Mapping[str, Ramp]) -> Any:
    """The largest share that one of these ramps allows, (B, K) -> (B,)."""
    share = 0 * probabilities[:, 0]
    for column, name in enumerate(names):
        if name in ramps:
            share = share + (_climbed(probabilities[:, column], ramps[name]) - share).clip(0, 1)
    return share


def _climbed(probability: Any, ramp: Ramp) -> Any:
    doubt, sure = ramp
    return ((probability - doubt) / (sure - doubt)).clip(0, 1)

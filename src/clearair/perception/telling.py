"""Damage that the user names, and damage that is reported to the user.

Shapes: N regions, K kinds of degradation.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from clearair.errors import UsageError
from clearair.outcome import Outcome
from clearair.perception.confidence import Caution, share_out
from clearair.perception.protocol import Perceiver
from clearair.percepts import Percepts

Damage = str | Collection[str]
"""What `--damage` and `damage=` take: "auto", "none", "haze,rain" or ["haze", "rain"]."""

WORTH_NAMING = 0.1
"""Of probabilities that sum to one, those from here on are listed."""


@runtime_checkable
class Teachable(Protocol):
    """A perceiver that knows more about a kind than its name, such as its mean embedding."""

    def told(self, percepts: Percepts, kinds: Sequence[str]) -> Percepts:
        """The percepts as they are when exactly these kinds are present."""


def parse_damage(damage: Damage) -> tuple[str, ...] | None:
    """The kinds that the user named, each once, in that order: () for "none", None for "auto".

    `check_kinds` checks whether they exist. Raises UsageError when it is not text, names nothing, or combines
    "auto" or "none" with other words.
    """
    texts = [damage] if isinstance(damage, str) else damage
    if not isinstance(texts, list | tuple | set | frozenset):
        raise UsageError(f"Damage is 'auto', 'none' or names of kinds, got {damage!r}.")
    parts: list[str] = []
    for text in texts:
        if not isinstance(text, str):
            raise UsageError(f"A kind of damage is a name, got {text!r}.")
        parts += text.split(",")
    words = tuple(dict.fromkeys(part.strip().lower() for part in parts))
    if not words or "" in words:
        raise UsageError("Damage needs a kind in every place, such as haze or haze,rain; or auto, or none.")
    if len(words) > 1 and (alone := {"auto", "none"}.intersection(words)):
        raise UsageError(f"Damage {','.join(words)!r}: {min(alone)!r} cannot be combined with other words.")
    return {"auto": None, "none": ()}.get(words[0], words)


def check_kinds(kinds: Sequence[str], known: Sequence[str]) -> None:
    """Raise UsageError for kinds that are not among the names of a perceiver."""
    if not kinds:
        return
    if not known or share_out(known):
        raise UsageError(
            f"Damage {','.join(kinds)!r}: these perceivers do not support named damage; the shipped ones "
            "do (leave out --degradation)."
        )
    for kind in kinds:
        check_kind(kind, known, ("auto", "none"))


def check_kind(kind: str, known: Sequence[str], others: Sequence[str] = ()) -> None:
    """Raise UsageError for a kind that is not known, with the nearest of these and `others`."""
    if kind in known:
        return
    if any(mark in kind for mark in " ;+/|"):
        raise UsageError(f"Kinds of damage are separated by commas, as in haze,rain; got {kind!r}.")
    near = difflib.get_close_matches(kind, [*known, *others], 1)
    suggestion = f"; did you mean {near[0]!r}?" if near else "."
    more = f", or {', '.join(others)}" if others else ""
    raise UsageError(f"There is no damage {kind!r}{suggestion} Kinds: {', '.join(known)}{more}.")


def known_kinds(perceiver: Perceiver) -> tuple[str, ...]:
    """The kinds of damage that a perceiver has names for, () if it has none.

    A perceiver that has no `names` is shown a small grey picture to find out.
    """
    names: tuple[str, ...] | None = getattr(perceiver, "names", None)
    return perceiver.perceive_image(np.full((64, 64, 3), 128, np.uint8)).names if names is None else names


def tell(perceiver: Perceiver, percepts: Percepts, kinds: Sequence[str]) -> Percepts:
    """The percepts as the perceiver puts it when exactly these kinds are present."""
    return perceiver.told(percepts, kinds) if isinstance(perceiver, Teachable) else told(percepts, kinds)


def told(percepts: Percepts, kinds: Sequence[str]) -> Percepts:
    """The same percepts with probability 1 for these kinds and 0 for others, in the image and its regions.

    Embeddings stay. Kinds that the percepts do not name change nothing.
    """
    present = np.array([name in kinds for name in percepts.names], np.float32)  # (K,)
    local = np.broadcast_to(present, percepts.local_probabilities.shape).copy()  # (N, K)
    allowed = Caution().shares(present[None], percepts.names)  # all ramps end at certainty
    guidance = replace(percepts.guidance, tone=allowed.tone, change=allowed.change, coarse=allowed.coarse)
    return replace(percepts, guidance=guidance, probabilities=present, local_probabilities=local)


def found_in(percepts: Percepts, caution: Caution) -> dict[str, float]:
    """Probabilities of the kinds that speak for a change, surest first.

    A kind speaks for a change when caution would allow one if nothing else was found. Of probabilities that
    sum to one, those from `WORTH_NAMING` on.
    """
    if not percepts.names:
        return {}
    values = percepts.probabilities
    if share_out(percepts.names):
        speaks = values >= WORTH_NAMING
    else:
        speaks = caution.shares(np.diag(values), percepts.names).change > 0  # (K,), each kind alone
    order = np.argsort(-values, kind="stable")
    return {percepts.names[index]: float(values[index]) for index in order if speaks[index]}


def caution_of(perceiver: Perceiver) -> Caution:
    """The ramps by which a perceiver, or its part that names damage, allows changes."""
    for part in (perceiver, getattr(perceiver, "degradation", None)):
        caution: Caution | None = getattr(part, "caution", None)
        if caution is not None:
            return caution
    return Caution()


def expected(perceiver: Perceiver, percepts: Percepts) -> Outcome:
    """What a model with the caution of the shipped one will do to the picture."""
    shares = percepts.to_dict()
    return Outcome(
        found=found_in(percepts, caution_of(perceiver)),
        share=shares["change"],
        tone=shares["change"] * shares["tone"],
        wordless=not percepts.names,
    )

"""Kinds of damage as users name them. Loads no PyTorch, so that a misspelt name is refused at once."""

from __future__ import annotations

from collections.abc import Sequence

from clearair.errors import UsageError
from clearair.kinds import NAMES
from clearair.perception.telling import check_kind


def named(kinds: str | Sequence[str]) -> tuple[str, ...]:
    """Return the kinds in a text such as "haze, Rain", or in several, each once.

    Raises UsageError for an unknown one, with the nearest known kind.
    """
    texts = [kinds] if isinstance(kinds, str) else kinds
    if not isinstance(texts, Sequence) or not texts or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"Kinds of damage are names, such as haze or haze,rain; got {kinds!r}.")
    words = dict.fromkeys(word.strip().lower() for text in texts for word in text.split(","))
    for word in words:
        if not word:
            raise UsageError("Damage needs a kind in every place, such as haze or haze,rain.")
        check_kind(word, NAMES)
    return tuple(words)

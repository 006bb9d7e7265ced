"""The recipes of the perceivers, by name."""

from __future__ import annotations

from clearair.training.loop.listing import Listed, listed
from clearair.training.perceivers.recognition import RecognizerRecipe
from clearair.training.perceivers.samples import PerceiverRecipe


def perceivers() -> PerceiverRecipe:
    """The eyes of the restorer: how good a picture is, where its regions are, what is wrong."""
    return PerceiverRecipe()


def recognizer() -> RecognizerRecipe:
    """Their judgement of whole pictures, fitted to real and synthetic damage; its thresholds."""
    return RecognizerRecipe()


def perceiver_recipes() -> dict[str, Listed[PerceiverRecipe | RecognizerRecipe]]:
    """Return the recipes by name."""
    return listed(perceivers, recognizer)

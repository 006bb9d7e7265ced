"""Families of variants of a recipe: each measures the effect of one choice, and changes nothing else.

The first two are the paper's Tables 6 and 7, with its names; the others are our own questions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from clearair.network.config import Perception
from clearair.training.restorer.losses import ClueReuse
from clearair.training.restorer.recipe import Recipe

COMPONENTS = (
    ("IQA", "ICRM"),
    ("SGU", "ICRM"),
    ("TI", "ICRM"),
    ("IQA", "SGU", "ICRM"),
    ("IQA", "TI", "ICRM"),
    ("SGU", "TI", "ICRM"),
    ("IQA", "SGU", "TI"),
    ("IQA", "SGU", "TI", "ICRM"),
)
"""Of Table 7: quality assessment, regions, identification of the damage, reuse of internal clues."""

ORDERS: tuple[tuple[Perception, ...], ...] = (
    ("where", "what", "how"),
    ("what", "how", "where"),
    ("how", "where", "what"),
)
"""Of Table 6."""


@dataclass(frozen=True)
class Family:
    """Variants that are compared with each other."""

    question: str
    """What they differ in."""
    full: str
    """The variant that the others are compared with."""
    variants: Callable[[Recipe], dict[str, Recipe]]
    """Of any recipe, by name."""
    published: int | None = None
    """The table of the paper that has the same rows."""


def perception_orders(recipe: Recipe) -> dict[str, Recipe]:
    """Variants by the order of perception, named as in the paper's Table 6."""
    return {
        "-".join(word.capitalize() for word in order): replace(
            recipe, network=replace(recipe.network, order=order)
        )
        for order in ORDERS
    }


def component_variants(recipe: Recipe) -> dict[str, Recipe]:
    """Variants by their guidance, named as in the paper's Table 7.

    A component that is not named is replaced by learnable parameters; without ICRM the loss is L1 alone. Tone
    stage and caution, which the paper's network lacks, are off: they would still use the percepts.
    """
    variants = {}
    for parts in COMPONENTS:
        network = replace(
            recipe.network,
            quality="perceived" if "IQA" in parts else "learned",
            regions="perceived" if "SGU" in parts else "learned",
            degradation="perceived" if "TI" in parts else "learned",
            tone=False,
            cautious=False,
        )
        clues: ClueReuse | Literal["off"] = recipe.clue_reuse if "ICRM" in parts else "off"
        variants["+".join(parts)] = replace(recipe, network=network, clue_reuse=clues)
    return variants


def degradation_scopes(recipe: Recipe) -> dict[str, Recipe]:
    """Variants by the scope of the degradation embedding: each region, or the whole picture."""
    return {
        name: replace(recipe, network=replace(recipe.network, local_degradation=local))
        for name, local in (("local", True), ("global", False))
    }


def clue_reuses(recipe: Recipe) -> dict[str, Recipe]:
    """Variants by the form of ICRM: none, the paper's, with the detach, anchored; and weighted by the JND."""
    forms: tuple[tuple[str, ClueReuse | Literal["off"], bool], ...] = (
        ("off", "off", False),
        ("paper", "paper", False),
        ("paper, JND", "paper", True),
        ("detached", "detached", False),
        ("anchored", "anchored", False),
        ("anchored, JND", "anchored", True),
    )
    return {name: replace(recipe, clue_reuse=form, visible_clues=seen) for name, form, seen in forms}


FAMILIES = {
    "order": Family("order of perception", "How-Where-What", perception_orders, published=6),
    "components": Family("guided by", "IQA+SGU+TI+ICRM", component_variants, published=7),
    "degradation": Family("degradation embedding", "local", degradation_scopes),
    "icrm": Family("form of ICRM", "paper", clue_reuses),
}
"""By name, for the command line."""


def slug(variant: str) -> str:
    """A variant's name for files and command lines: lower case, words joined by underscores."""
    words = "".join(letter if letter.isalnum() else " " for letter in variant.lower()).split()
    return "_".join(words)

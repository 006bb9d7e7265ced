"""Recipes as the command line lists them: a name, one line, and a function that makes the recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Recipe = TypeVar("Recipe", covariant=True)


@dataclass(frozen=True)
class Listed(Generic[Recipe]):
    """A recipe as the command line offers it."""

    about: str
    """In one line."""
    make: Callable[[], Recipe]


def listed(*makers: Callable[[], Recipe]) -> dict[str, Listed[Recipe]]:
    """Return recipes by the names of the functions that make them, with their docstrings' first lines."""
    return {make.__name__: Listed(str(make.__doc__).partition("\n")[0], make) for make in makers}

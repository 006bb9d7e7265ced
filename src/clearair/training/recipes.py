"""All recipes by name, and custom recipes in TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from clearair.errors import ConfigError, UsageError
from clearair.training.loop.fields import override, set_fields, suggestion
from clearair.training.loop.listing import Listed
from clearair.training.perceivers.recipes import perceiver_recipes
from clearair.training.perceivers.recognition import RecognizerRecipe
from clearair.training.perceivers.samples import PerceiverRecipe
from clearair.training.restorer.recipe import Recipe
from clearair.training.restorer.recipes import restorers

AnyRecipe = Recipe | PerceiverRecipe | RecognizerRecipe

RECIPES: Mapping[str, Listed[AnyRecipe]] = {**restorers(), **perceiver_recipes()}
"""By name, for the command line."""

SUFFIX = ".toml"
"""Of a file that holds a recipe."""
BASE = "recipe"
"""The entry of such a file that names the recipe whose fields it changes."""
OWN_SHARE = 0.5
"""Share of the draws that take a pair of the user's own, where there are any, unless `mix.own` is set."""


def get_recipe(name: str) -> AnyRecipe:
    """Return a recipe by name. Raises ConfigError that names the nearest and lists the known ones."""
    if name not in RECIPES:
        raise ConfigError(
            f"There is no recipe {name!r}{suggestion(name, RECIPES)}; known are {', '.join(RECIPES)}."
        )
    return RECIPES[name].make()


def read_recipe(word: str, changes: Sequence[str] = (), *, own_pairs: bool = False) -> AnyRecipe:
    """Return the recipe that a name or a TOML file stands for, with fields changed by FIELD=VALUE.

    With `own_pairs` half of the training samples are the user's own pairs, unless the file or a change says
    otherwise. Raises ConfigError that names the file and the field; UsageError for pairs without a restorer.
    """
    name, values = _read_file(Path(word)) if word.endswith(SUFFIX) else (word, {})
    recipe = get_recipe(name)
    if own_pairs:
        if not isinstance(recipe, Recipe):
            raise UsageError(f"--pairs are for recipes of a restorer; {name} does not use them.")
        recipe = replace(recipe, mix=replace(recipe.mix, own=OWN_SHARE))
    try:
        recipe = set_fields(recipe, values)
    except ConfigError as error:
        raise ConfigError(f"{word}: {error}") from error
    return override(recipe, changes)


def read_restorer(word: str, changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a restorer that a name or a TOML file stands for. Raises ConfigError."""
    recipe = read_recipe(word, changes)
    if not isinstance(recipe, Recipe):
        raise ConfigError(f"{word}: is no recipe of a restorer; --list shows what each recipe trains.")
    return recipe


def recipe_name(word: str) -> str:
    """Return the name of the listed recipe that a name or a TOML file begins with. Raises ConfigError."""
    return _read_file(Path(word))[0] if word.endswith(SUFFIX) else word


def to_toml(name: str, recipe: AnyRecipe) -> str:
    """Return a file that `read_recipe` reads as this recipe, whole; `name` is that of a listed recipe."""
    import tomli_w

    return tomli_w.dumps({BASE: name, **asdict(recipe)})


def _read_file(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the name of the recipe that a file begins with, and the fields it changes."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error}).") from error
    name = values.pop(BASE, None)
    if not isinstance(name, str):
        raise ConfigError(f'{path}: name the recipe it begins with, such as {BASE} = "compact".')
    if name not in RECIPES:
        raise ConfigError(
            f"{path}: {BASE}: there is no recipe {name!r}{suggestion(name, RECIPES)}; known are "
            f"{', '.join(RECIPES)}."
        )
    return name, values

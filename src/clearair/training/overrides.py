"""Fields of a recipe changed by name, as a command line gives them: `batch=8`, `mix.single.noise=0.3`."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from clearair.errors import ConfigError

Recipe = TypeVar("Recipe")


def override(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """A copy of a frozen dataclass with fields set by `name=value`; `outer.inner=value` reaches inside.

    Values are read as the field's own type. Tuples are separated by commas, stages by slashes:
    `stages=2000/12/96/192,6000/8/128/192` are start, batch, patch and view.

    Raises ConfigError for a name that does not exist, with the nearest one, and for a value that does not
    fit.
    """
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"{setting!r}: a field is set by NAME=VALUE.")
        recipe = _set(recipe, name.strip().split("."), text.strip(), name.strip())
    return recipe


def meant(name: str, known: Iterable[str]) -> str:
    """ ", did you mean ...?" for a misspelt name; nothing when no known one is near."""
    near = difflib.get_close_matches(name, known, 1)
    return f", did you mean {near[0]!r}?" if near else ""


def _set(whole: Any, path: list[str], text: str, name: str) -> Any:
    """A copy of a dataclass or dictionary with the value at `path` replaced."""
    first, rest = path[0], path[1:]
    known = list(whole) if isinstance(whole, dict) else [field.name for field in fields(whole)]
    if first not in known:
        raise ConfigError(f"There is no field {name!r}{meant(first, known)}; known are {', '.join(known)}.")
    old = whole[first] if isinstance(whole, dict) else getattr(whole, first)
    if rest:
        if not (isinstance(old, dict) or is_dataclass(old)):
            raise ConfigError(f"{name}: {first} has no fields.")
        new = _set(old, rest, text, name)
    elif isinstance(old, dict) or is_dataclass(old):
        inner = list(old) if isinstance(old, dict) else [field.name for field in fields(old)]
        raise ConfigError(f"{name}: set one of its fields: {', '.join(f'{name}.{key}' for key in inner)}.")
    else:
        kind = type(old) if isinstance(whole, dict) else get_type_hints(type(whole))[first]
        new = _read(text, kind, name)
    return {**whole, first: new} if isinstance(whole, dict) else replace(whole, **{first: new})


def _read(text: str, kind: Any, name: str) -> Any:
    """The value of a field of type `kind`. Raises ConfigError when the text is none."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _read_any(text, inner, name)
    if origin is Literal:
        if text not in inner:
            raise ConfigError(f"{name} must be one of {', '.join(map(str, inner))}; got {text!r}.")
        return text
    if origin is tuple:
        parts = [part for part in text.split(",") if part]
        items = [inner[0]] * len(parts) if inner[-1] is ... else list(inner)
        if len(items) != len(parts):
            raise ConfigError(f"{name} needs {len(items)} values, got {text!r}.")
        return tuple(_read(part, item, name) for part, item in zip(parts, items, strict=True))
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ConfigError(f"{name} must be true or false; got {text!r}.")
        return text.lower() == "true"
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        names, parts = [field.name for field in fields(kind)], text.split("/")
        if len(names) != len(parts):
            raise ConfigError(f"{name} needs {'/'.join(names)}; got {text!r}.")
        values = {key: _read(part, hints[key], name) for key, part in zip(names, parts, strict=True)}
        return kind(**values)
    try:
        return kind(text)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} must be {kind.__name__}; got {text!r}.") from error


def _read_any(text: str, kinds: tuple[Any, ...], name: str) -> Any:
    """The value by the first of several types that takes it."""
    if type(None) in kinds and text.lower() == "none":
        return None
    problems = []
    for kind in kinds:
        if kind is not type(None):
            try:
                return _read(text, kind, name)
            except ConfigError as error:
                problems.append(str(error))
    raise ConfigError(" ".join(problems))

"""Fields of a recipe set by name: `batch=8` and `mix.single.noise=0.3` on a command line, or in a file."""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from clearair.errors import ConfigError

Recipe = TypeVar("Recipe")


def override(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """Return a copy of a frozen dataclass with fields set by `name=value`.

    `outer.inner=value` reaches inside. Values are parsed as the field's own type; the last of several wins.
    Tuples are separated by commas, stages by slashes: `stages=2000/12/96/192,6000/8/128/192` are start,
    batch, patch and view.

    Raises ConfigError for a name that does not exist, with the nearest one, and for a value that does not
    fit.
    """
    return set_fields(recipe, _nested(settings))


def set_fields(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return a copy of a frozen dataclass with other values, nested like the dataclass; all are set at once.

    A value is a plain one, as in JSON or TOML, or text as `override` takes it. Raises ConfigError.
    """
    changed: Recipe = _set(recipe, values, "")
    return changed


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean ...?)" for a misspelt name; nothing when no known one is near."""
    near = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _nested(settings: Sequence[str]) -> dict[str, Any]:
    """`["a.b=1", "c=2"]` -> `{"a": {"b": "1"}, "c": "2"}`."""
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"{setting!r}: a field is set by NAME=VALUE.")
        *outer, last = name.strip().split(".")
        inner = values
        for part in outer:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{name.strip()}: {part} is set as a whole, too.")
        inner[last] = text.strip()
    return values


def _set(whole: Any, values: Mapping[str, Any], prefix: str) -> Any:
    """Return a copy of a dataclass or dictionary with other values, whose names begin with `prefix`."""
    known = list(whole) if isinstance(whole, dict) else [field.name for field in fields(whole)]
    kinds = {} if isinstance(whole, dict) else get_type_hints(type(whole))
    changed: dict[str, Any] = {}
    for name, value in values.items():
        full = prefix + name
        if name not in known:
            there = [prefix + each for each in known]
            raise ConfigError(
                f"There is no field {full!r}{suggestion(full, there)}; known are {', '.join(there)}."
            )
        old = whole[name] if isinstance(whole, dict) else getattr(whole, name)
        if isinstance(old, dict) or is_dataclass(old):
            if not isinstance(value, Mapping):
                inner = list(old) if isinstance(old, dict) else [field.name for field in fields(old)]
                names = ", ".join(f"{full}.{key}" for key in inner)
                raise ConfigError(f"{full}: set one of its fields: {names}.")
            changed[name] = _set(old, value, f"{full}.")
        elif isinstance(value, Mapping):
            raise ConfigError(f"{full}.{next(iter(value), '')}: {name} has no fields.")
        else:
            changed[name] = _read(value, kinds.get(name, type(old)), full)
    return {**whole, **changed} if isinstance(whole, dict) else replace(whole, **changed)


def _read(value: Any, kind: Any, name: str) -> Any:
    """Return a value as one of type `kind`. Raises ConfigError when it is of another type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _read_any(value, inner, name)
    if origin is Literal:
        if value not in inner:
            raise ConfigError(f"{name} must be one of {', '.join(map(str, inner))}; got {value!r}.")
        return value
    if origin is tuple:
        return _read_tuple(value, inner, name)
    if isinstance(kind, type) and is_dataclass(kind):
        return _read_dataclass(value, kind, name)
    if kind is bool:
        return _read_bool(value, name)
    return _read_scalar(value, kind, name)


def _read_tuple(value: Any, inner: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    parts = [part for part in value.split(",") if part] if isinstance(value, str) else value
    if not isinstance(parts, Sequence):
        raise ConfigError(f"{name} must be several values; got {value!r}.")
    items = [inner[0]] * len(parts) if inner[-1] is ... else list(inner)
    if len(items) != len(parts):
        raise ConfigError(f"{name} needs {len(items)} values, got {value!r}.")
    return tuple(_read(part, item, name) for part, item in zip(parts, items, strict=True))


def _read_dataclass(value: Any, kind: Any, name: str) -> Any:
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    if isinstance(value, str):
        parts = value.split("/")
        value = dict(zip(names, parts, strict=True)) if len(parts) == len(names) else value
    if not isinstance(value, Mapping) or set(value) != set(names):
        raise ConfigError(f"{name} needs {'/'.join(names)}; got {value!r}.")
    return kind(**{key: _read(part, hints[key], f"{name}.{key}") for key, part in value.items()})


def _read_bool(value: Any, name: str) -> bool:
    text = str(value).lower()
    if not isinstance(value, bool | str) or text not in ("true", "false"):
        raise ConfigError(f"{name} must be true or false; got {value!r}.")
    return text == "true"


def _read_scalar(value: Any, kind: Any, name: str) -> Any:
    fits = isinstance(value, str) or type(value) is kind or (kind is float and type(value) is int)
    try:
        if fits:
            return kind(value)
    except (TypeError, ValueError):
        pass
    raise ConfigError(f"{name} must be {kind.__name__}; got {value!r}.")


def _read_any(value: Any, kinds: tuple[Any, ...], name: str) -> Any:
    """Return the value as the first of several types that accepts it."""
    problems = []
    for kind in (kind for kind in kinds if kind is not type(None)):
        try:
            return _read(value, kind, name)
        except ConfigError as error:
            problems.append(str(error))
    raise ConfigError(" ".join(problems))


def check_seed(recipe: Any) -> None:
    """Raise ConfigError for a seed that random generators do not take."""
    if not 0 <= recipe.seed < 2**32:
        raise ConfigError(f"{type(recipe).__name__}.seed lies in 0 to 2**32 - 1, got {recipe.seed}.")


def check_not_negative(recipe: Any, names: Iterable[str]) -> None:
    """Raise ConfigError for a number that is negative or not finite."""
    for name in names:
        if not 0 <= (value := getattr(recipe, name)) < math.inf:
            raise ConfigError(f"{type(recipe).__name__}.{name} must be 0 or more and finite, got {value}.")

"""A series: consecutive training runs, each of which may start from an earlier one.

A TOML file lists them as `[[runs]]`. An entry is a recipe with changed fields, or a mean of earlier models:

    [[runs]]
    name = "short"
    recipe = "compact"
    steps = 4000

    [[runs]]
    name = "larger"
    recipe = "compact"
    start = "short"
    patch = 96

    [[runs]]
    name = "mean"
    mean = {short = 0.4, larger = 0.6}
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from clearair.errors import ConfigError
from clearair.training.loop.fields import override, set_fields, suggestion
from clearair.training.perceivers.recognition import RecognizerRecipe
from clearair.training.perceivers.samples import PerceiverRecipe
from clearair.training.recipes import SUFFIX, AnyRecipe, get_recipe
from clearair.training.restorer.recipe import Recipe

LISTED = {
    "shipped": "A series: eyes, recognizer and restorer as they ship, from nothing.",
}
"""Series in this package, by name, each in one line."""
RUNS = "runs"
"""The entry of a file that makes it a series."""
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
"""Names of runs, which are names of folders too."""


@dataclass(frozen=True)
class Planned:
    """One run of a series."""

    name: str
    recipe: AnyRecipe
    start: str | None = None
    """The earlier run that it begins with, or a model by name or folder, or a checkpoint."""
    perceivers: str | None = None
    """The earlier run whose perceivers guide a restorer; None: those that ship, or that the user names."""


@dataclass(frozen=True)
class Mean:
    """A mean of the weights of earlier restorers."""

    name: str
    shares: Mapping[str, float]
    """The share of each, by the name of its run; their sum is 1."""


@dataclass(frozen=True)
class Series:
    """Runs in order; the last one makes the result of the series."""

    runs: tuple[Planned | Mean, ...]

    def __post_init__(self) -> None:
        """Raises ConfigError for a run that needs the result of a run that does not precede it."""
        if not self.runs:
            raise ConfigError("A series needs at least one run.")
        before: dict[str, type] = {}
        for run in self.runs:
            if not NAME.fullmatch(run.name):
                raise ConfigError(f"{run.name!r}: a name has small letters, digits, - and _ only.")
            if run.name in before:
                raise ConfigError(f"{run.name}: two runs have this name.")
            if isinstance(run, Mean):
                _check_mean(run, before)
            else:
                _check_needs(run, before)
            before[run.name] = Recipe if isinstance(run, Mean) else type(run.recipe)

    def changed(self, changes: Sequence[str]) -> Series:
        """The series with FIELD=VALUE set in every run whose recipe has that field.

        Raises ConfigError for a field that no recipe has.
        """
        known: set[str] = set()
        runs: list[Planned | Mean] = []
        for run in self.runs:
            if isinstance(run, Planned):
                names = {field.name for field in fields(run.recipe)}
                known |= names
                own = [change for change in changes if _field(change) in names]
                run = replace(run, recipe=override(run.recipe, own))
            runs.append(run)
        for name in map(_field, changes):
            if name not in known:
                near = suggestion(name, known)
                raise ConfigError(f"No run of this series has a field {name!r}{near}.")
        return Series(tuple(runs))


def is_series(word: str) -> bool:
    """Whether a word names a listed series, or a TOML file with several runs."""
    if not word.endswith(SUFFIX):
        return word in LISTED
    try:
        return RUNS in tomllib.loads(Path(word).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        return False  # reading it as a recipe reports the error


def series_text(word: str) -> str:
    """Return the file of a listed series, or the one that is named."""
    if word in LISTED:
        return files("clearair.training.series").joinpath(f"{word}{SUFFIX}").read_text(encoding="utf-8")
    return Path(word).read_text(encoding="utf-8")


def read_series(word: str, changes: Sequence[str] = ()) -> Series:
    """Return a listed series, or the one in a TOML file, with fields changed by FIELD=VALUE.

    Raises ConfigError that names the file, the run and the field.
    """
    values = tomllib.loads(series_text(word))
    try:
        if unknown := sorted(set(values) - {RUNS}):
            raise ConfigError(f"{unknown[0]}: a series has nothing but [[{RUNS}]].")
        entries = values[RUNS]
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ConfigError(f"{RUNS} must be tables: [[{RUNS}]].")
        return Series(tuple(_read(entry) for entry in entries)).changed(changes)
    except ConfigError as error:
        raise ConfigError(f"{word}: {error}") from error


def _read(entry: dict[str, Any]) -> Planned | Mean:
    values = dict(entry)
    name = _text(values, "name") or ""
    try:
        if "mean" in values:
            shares = values.pop("mean")
            if values or not isinstance(shares, dict):
                raise ConfigError("a mean has a name and shares: mean = {first = 0.5, second = 0.5}.")
            return Mean(name, shares)
        recipe = _text(values, "recipe")
        if recipe is None:
            raise ConfigError("name its recipe, or the runs that it is the mean of.")
        start, perceivers = _text(values, "start"), _text(values, "perceivers")
        return Planned(name, set_fields(get_recipe(recipe), values), start, perceivers)
    except ConfigError as error:
        raise ConfigError(f"run {name!r}: {error}") from error


def _text(values: dict[str, Any], key: str) -> str | None:
    value = values.pop(key, None)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{key} must be text; got {value!r}.")
    return value


def _check_mean(run: Mean, before: Mapping[str, type]) -> None:
    for name, share in run.shares.items():
        if before.get(name) is not Recipe:
            raise ConfigError(f"run {run.name!r}: {name} is no restorer before it{suggestion(name, before)}.")
        if type(share) not in (int, float) or not 0 <= share <= 1:
            raise ConfigError(f"run {run.name!r}: the share of {name} lies in [0, 1]; got {share!r}.")
    if not math.isclose(sum(run.shares.values()), 1, abs_tol=1e-6):
        raise ConfigError(f"run {run.name!r}: its shares must have a sum of 1.")


def _check_needs(run: Planned, before: Mapping[str, type]) -> None:
    is_restorer = isinstance(run.recipe, Recipe)
    made = before.get(run.start or "")
    if made is not None and (made is Recipe) != is_restorer:
        raise ConfigError(f"run {run.name!r}: cannot start with {run.start}, which trains something else.")
    if run.perceivers is None:
        return
    if not is_restorer:
        raise ConfigError(f"run {run.name!r}: only a restorer is guided by perceivers.")
    if before.get(run.perceivers) not in (PerceiverRecipe, RecognizerRecipe):
        near = suggestion(run.perceivers, before)
        raise ConfigError(f"run {run.name!r}: {run.perceivers} is no run of perceivers before it{near}.")


def _field(change: str) -> str:
    return change.partition("=")[0].strip().partition(".")[0]

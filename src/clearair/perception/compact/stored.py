"""The files of a compact perceiver as NumPy arrays: `config.json` beside `model.safetensors`.

The config holds the shape of the eyes and the ramps of their caution; the tensors are those of the eyes and,
where there is one, of the recognizer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from clearair.errors import ConfigError, ModelError
from clearair.perception.compact.config import EyesConfig
from clearair.perception.confidence import Caution
from clearair.weights import read_arrays

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT_VERSION = 2
_ENTRIES = {"format", "eyes", "recognizer", "caution"}


@dataclass(frozen=True, eq=False)
class StoredPerceiver:
    """The content of a perceiver's folder; names and shapes of its weights are not checked yet."""

    config: EyesConfig
    has_recognizer: bool
    caution: Caution
    weights: dict[str, NDArray[Any]]
    """In the types they are stored in, names beginning with "eyes." or "recognizer."."""


def shipped_folder() -> Path:
    """The folder of the shipped weights."""
    return Path(str(files("clearair"))) / "models" / "weights" / "perceivers"


def read_perceiver(folder: Path) -> StoredPerceiver:
    """Read a perceiver's folder. Raises ModelError when a file is missing or damaged."""
    path = folder / CONFIG
    if not path.exists() or not (folder / WEIGHTS).exists():
        raise ModelError(f"{folder}: {CONFIG} or {WEIGHTS} of the perceiver is missing.")
    try:
        config, has_recognizer, caution = _read_config(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, ConfigError) as error:
        advice = "" if isinstance(error, ConfigError) else "; copy it again"
        raise ModelError(f"{path}: not a config of the compact perceiver ({error}){advice}.") from error
    return StoredPerceiver(config, has_recognizer, caution, read_arrays(folder / WEIGHTS))


def _read_config(values: Any) -> tuple[EyesConfig, bool, Caution]:
    if not isinstance(values, dict):
        raise ConfigError("it is not a JSON object")
    if "format" not in values and "kinds" in values:
        raise ConfigError("it is of an older version of clearair; use perceivers and models made together")
    if values.get("format") != FORMAT_VERSION:
        raise ConfigError(f"its format is {values.get('format')!r}; this version reads {FORMAT_VERSION}")
    if unfit := sorted(set(values) ^ _ENTRIES):
        raise ConfigError(f"missing or unknown entries: {', '.join(unfit)}")
    if not isinstance(values["recognizer"], bool) or not isinstance(values["eyes"], dict):
        raise ConfigError("eyes must be an object, recognizer true or false")
    if missing := sorted({field.name for field in fields(EyesConfig)} - set(values["eyes"])):
        raise ConfigError(f"eyes lacks {', '.join(missing)}")
    eyes, caution = EyesConfig.from_dict(values["eyes"]), Caution.from_dict(values["caution"])
    if unknown := sorted({*caution.tone, *caution.change} - set(eyes.kinds)):
        raise ConfigError(f"caution has ramps of kinds that the eyes do not know: {', '.join(unknown)}")
    return eyes, values["recognizer"], caution

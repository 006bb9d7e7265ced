"""The files of a saved model as NumPy arrays: `config.json` beside `model.safetensors`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from clearair.errors import ConfigError, ModelError, OutputError
from clearair.models.catalogue import find_model
from clearair.models.stamp import PerceiverStamp
from clearair.network.config import GUIDANCE_SIZES, NetworkConfig
from clearair.placing import check_makeable
from clearair.weights import read_arrays

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class StoredModel:
    """The content of a model's folder; names and shapes of its weights are not checked yet."""

    name: str
    """The name or path it was asked for."""
    folder: Path
    network: NetworkConfig
    perceivers: PerceiverStamp
    weights: dict[str, NDArray[Any]]
    """In the types they are stored in."""


def read_config(name_or_path: str | Path) -> tuple[Path, NetworkConfig, PerceiverStamp]:
    """The folder of a model by name or path, and its config; the weights are not read.

    Raises ModelError when it is unknown, or the config is missing or damaged.
    """
    folder = find_model(name_or_path)
    return (folder, *_read_config(folder / CONFIG))


def read_model(name_or_path: str | Path) -> StoredModel:
    """Read a model by name or path; nothing but JSON and safetensors is ever opened.

    Raises ModelError when it is unknown, or a file is missing or damaged.
    """
    folder, network, perceivers = read_config(name_or_path)
    if not (folder / WEIGHTS).exists():
        raise ModelError(f"{folder / WEIGHTS}: is missing; a model is {CONFIG} and {WEIGHTS} in one folder.")
    return StoredModel(str(name_or_path), folder, network, perceivers, read_arrays(folder / WEIGHTS))


def holds_model(folder: Path) -> bool:
    """Whether the folder contains a model, or a part of one."""
    return (folder / CONFIG).exists() or (folder / WEIGHTS).exists()


def check_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Raise OutputError when `folder` cannot be written to, or holds a model and `overwrite` is false."""
    check_makeable(folder)
    if not overwrite and holds_model(folder):
        raise OutputError(
            f"{folder}: holds a model already; choose another folder, or replace it with overwrite=True."
        )


def _read_config(path: Path) -> tuple[NetworkConfig, PerceiverStamp]:
    try:
        values = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not JSON ({error}); copy it again.") from error
    if not isinstance(values, dict) or "format" not in values:
        raise ModelError(f"{path}: not the config of a clearair model.")
    if "eyes" in values:
        raise ModelError(f"{path}: belongs to perceivers, which restore nothing; name the folder of a model.")
    if values["format"] != FORMAT_VERSION:
        raise ModelError(
            f"{path}: format {values['format']!r}, but this version of clearair reads {FORMAT_VERSION}."
        )
    if unfit := sorted(set(values) ^ {"format", "network", "perceivers"}):
        raise ModelError(f"{path}: missing or unknown entries: {', '.join(unfit)}.")
    try:
        network = NetworkConfig.from_dict(_object(values["network"]))
        perceivers = PerceiverStamp.from_dict(_object(values["perceivers"]))
    except (ConfigError, ModelError, TypeError) as error:
        raise ModelError(f"{path}: {str(error).removesuffix('.')}.") from error
    check_sizes(network, perceivers, path)
    return network, perceivers


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelError(f"expected a JSON object, got {value!r}")
    return value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"{path}: is missing; a model is {CONFIG} and {WEIGHTS} in one folder.") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}.") from error


def check_sizes(network: NetworkConfig, perceivers: PerceiverStamp, path: Path) -> None:
    """Raise ModelError when a network and its perceivers disagree on the sizes of what they exchange."""
    for name in GUIDANCE_SIZES:
        ours, theirs = getattr(network, name), getattr(perceivers, name)
        if ours != theirs:
            raise ModelError(f"{path}: {name} of the network is {ours}, that of its perceivers {theirs}.")

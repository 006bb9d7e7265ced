"""Save and load a restorer: `config.json` beside `model.safetensors`, checked strictly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from clearair.errors import ConfigError, ModelError, OutputError
from clearair.finishing import FinishedNetwork
from clearair.image import write_atomically
from clearair.models.catalogue import find_model
from clearair.models.stamp import PerceiverStamp
from clearair.network import ClearAIR, NetworkConfig
from clearair.perception import load_compact
from clearair.perception.protocol import Perceiver
from clearair.weights import check_fit

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class SavedModel:
    """What a folder holds: enough to build the network, and to know what must guide it."""

    name: str
    """The name or path it was asked for."""
    network: NetworkConfig
    weights: dict[str, Tensor]
    perceivers: PerceiverStamp

    def build(self) -> FinishedNetwork:
        """The network with its weights, float32, in evaluation mode."""
        network = FinishedNetwork(self.network)
        network.load_state_dict({name: value.float() for name, value in self.weights.items()})
        return network.eval().requires_grad_(False)


def save_model(
    network: ClearAIR,
    folder: Path | str,
    *,
    perceivers: Perceiver | None = None,
    precision: torch.dtype = torch.float16,
    overwrite: bool = False,
) -> None:
    """Write the network as float16, with the sizes and fingerprint of the perceivers that guided it.

    The perceivers are by default those that ship with the package. Another `precision` is for weights that
    have to stay as they are. Raises ModelError when a weight is NaN or too large for it, or the perceivers do
    not fit the network; OutputError when the folder cannot be written, or holds a model that `overwrite` does
    not allow to replace.
    """
    folder = Path(folder)
    check_folder(folder, overwrite=overwrite)
    stamp = PerceiverStamp.of(perceivers or load_compact())
    _check_sizes(network.config, stamp, folder)
    weights = {
        name: value.detach().to("cpu", precision).contiguous() for name, value in network.state_dict().items()
    }
    _check_finite(weights, folder / WEIGHTS)
    config = {
        "format": FORMAT_VERSION,
        "network": network.config.to_dict(),
        "perceivers": stamp.to_dict(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made: {error.strerror}.") from error
    write_atomically(folder / WEIGHTS, save(weights), overwrite=True)
    write_atomically(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode(), overwrite=True)


def holds_model(folder: Path) -> bool:
    """Whether a model, or a part of one, lies there."""
    return (folder / CONFIG).exists() or (folder / WEIGHTS).exists()


def check_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Raise OutputError when a model in `folder` would be replaced without `overwrite`."""
    if not overwrite and holds_model(folder):
        raise OutputError(
            f"{folder}: holds a model already; choose another folder, or replace it with overwrite=True."
        )


def load_model(name_or_path: str | Path) -> SavedModel:
    """Read a model by name or path; nothing but JSON and safetensors is ever opened.

    Raises ModelError when it is unknown, a file is missing or damaged, or weights and config do not fit
    exactly.
    """
    folder = find_model(name_or_path)
    network, perceivers = _read_config(folder / CONFIG)
    weights = _read_weights(folder / WEIGHTS)
    with torch.device("meta"):  # shapes only: nothing is allocated for weights that may not fit
        expected = FinishedNetwork(network).state_dict()
    check_fit(weights, expected, folder / WEIGHTS, f"its {CONFIG}")
    return SavedModel(str(name_or_path), network, weights, perceivers)


def _read_config(path: Path) -> tuple[NetworkConfig, PerceiverStamp]:
    try:
        values = json.loads(_read(path))
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}).") from error
    if not isinstance(values, dict) or "format" not in values:
        raise ModelError(f"{path}: not the config of a clearair model.")
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
    _check_sizes(network, perceivers, path)
    return network, perceivers


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelError(f"expected a JSON object, got {value!r}")
    return value


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load(_read(path))
    except SafetensorError as error:
        raise ModelError(f"{path}: not a safetensors file ({error}).") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"{path}: is missing; a model is {CONFIG} and {WEIGHTS} in one folder.") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}.") from error


def _check_sizes(network: NetworkConfig, perceivers: PerceiverStamp, path: Path) -> None:
    for name in ("quality_dim", "content_dim", "degradation_dim", "region_count"):
        ours, theirs = getattr(network, name), getattr(perceivers, name)
        if ours != theirs:
            raise ModelError(f"{path}: {name} of the network is {ours}, that of its perceivers {theirs}.")


def _check_finite(weights: dict[str, Tensor], path: Path) -> None:
    if bad := [name for name, value in weights.items() if not value.isfinite().all()]:
        raise ModelError(f"{path}: {len(bad)} tensors are not finite, such as {bad[0]}.")

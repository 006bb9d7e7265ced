"""Save and load a restorer: `config.json` beside `model.safetensors`, checked strictly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from clearair.errors import ModelError
from clearair.finishing import FinishedNetwork
from clearair.models.stamp import PerceiverStamp
from clearair.models.stored import CONFIG, FORMAT_VERSION, WEIGHTS, check_folder, check_sizes, read_model
from clearair.network import ClearAIR, NetworkConfig
from clearair.perception import load_compact
from clearair.perception.protocol import Perceiver
from clearair.placing import make_folder, write_atomically
from clearair.weights import check_fit


@dataclass(frozen=True, eq=False)
class SavedModel:
    """The content of a folder: enough to build the network, and to identify its perceivers."""

    name: str
    """The name or path it was asked for."""
    network: NetworkConfig
    weights: dict[str, Tensor]
    perceivers: PerceiverStamp

    def build(self) -> FinishedNetwork:
        """The network with its weights, float32, in evaluation mode."""
        with torch.device("cpu"):  # whatever torch.set_default_device and set_default_dtype say
            network = FinishedNetwork(self.network).float()
        network.load_state_dict({name: value.float() for name, value in self.weights.items()})
        return network.eval().requires_grad_(False)


def save_model(
    network: ClearAIR,
    folder: Path | str,
    *,
    perceivers: Perceiver | PerceiverStamp | None = None,
    precision: torch.dtype = torch.float16,
    overwrite: bool = False,
) -> None:
    """Write the network as float16, with the sizes and fingerprint of the perceivers that guided it.

    The perceivers, or their stamp, are by default those that ship with the package. Another `precision` is
    for weights that must stay exact. Raises ModelError when a weight is NaN or too large for it, or the
    perceivers do not fit the network; OutputError when the folder cannot be written, or holds a model that
    `overwrite` does not allow to replace.
    """
    folder = Path(folder)
    check_folder(folder, overwrite=overwrite)
    if isinstance(perceivers, PerceiverStamp):
        stamp = perceivers
    else:
        stamp = PerceiverStamp.of(perceivers or load_compact())
    check_sizes(network.config, stamp, folder)
    weights = {
        name: value.detach().to("cpu", precision).contiguous() for name, value in network.state_dict().items()
    }
    _check_finite(weights, folder / WEIGHTS)
    config = {
        "format": FORMAT_VERSION,
        "network": network.config.to_dict(),
        "perceivers": stamp.to_dict(),
    }
    make_folder(folder)
    write_atomically(folder / WEIGHTS, save(weights), overwrite=True)
    write_atomically(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode(), overwrite=True)


def load_model(name_or_path: str | Path) -> SavedModel:
    """Read a model by name or path; nothing but JSON and safetensors is ever opened.

    Raises ModelError when it is unknown, a file is missing or damaged, or weights and config do not fit
    exactly.
    """
    stored = read_model(name_or_path)
    weights = {name: torch.from_numpy(value) for name, value in stored.weights.items()}
    with torch.device("meta"):  # shapes only: nothing is allocated for weights that may not fit
        expected = FinishedNetwork(stored.network).state_dict()
    check_fit(weights, expected, stored.folder / WEIGHTS, f"its {CONFIG}")
    return SavedModel(stored.name, stored.network, weights, stored.perceivers)


def _check_finite(weights: dict[str, Tensor], path: Path) -> None:
    if bad := [name for name, value in weights.items() if not value.isfinite().all()]:
        raise ModelError(f"{path}: {len(bad)} tensors are not finite, such as {bad[0]}.")

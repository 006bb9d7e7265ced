"""Export sources: a restorer or perceivers, their graphs, and the pictures for the comparison.

PyTorch is loaded only to trace a module or to compute its outputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ModelError
from clearair.exporting.parity import Answers, perceived, restored, restorer_cases
from clearair.graphs import GraphFolder, Opens
from clearair.models.stored import StoredModel, read_model
from clearair.perception.compact import graph_perceiver
from clearair.perception.compact.stored import CONFIG, StoredPerceiver, read_perceiver, shipped_folder
from clearair.runtime import onnx

if TYPE_CHECKING:
    from clearair.exporting.tracing import Traced

PERCEIVERS = "perceivers"
"""The name of the perceivers that ship."""


@dataclass(frozen=True, eq=False)
class RestorerSource:
    """A saved restorer."""

    stored: StoredModel

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.stored.folder

    @property
    def config(self) -> dict[str, Any]:
        """What its graphs compute."""
        return self.stored.network.to_dict()

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """By the names that graphs have for them."""
        return self.stored.weights

    def graphs(self) -> GraphFolder | None:
        """The graphs that there are of it. Raises ModelError for damaged ones and those of another model."""
        return onnx.graphs_for(self.stored.folder, self.stored.network)

    def traced(self) -> Iterator[tuple[str, Traced]]:
        """All of its graphs by name, each made when it is asked for."""
        from clearair.exporting.restorer import restorer_graphs
        from clearair.models import load_model

        yield from restorer_graphs(load_model(self.stored.folder).build())

    def expected(self) -> Answers:
        """What PyTorch answers in 32 bits, on the CPU."""
        from clearair.models import load_model
        from clearair.runtime.pytorch import PyTorchRuntime

        network = load_model(self.stored.folder).build()
        runtime = PyTorchRuntime(network, device="cpu", precision="fp32")
        return restored(runtime, restorer_cases(self.stored))

    def answers(self, graphs: Opens) -> Answers:
        """What graphs answer."""
        return restored(onnx.OnnxRuntime(self.stored, graphs), restorer_cases(self.stored))


@dataclass(frozen=True, eq=False)
class PerceiverSource:
    """Saved perceivers."""

    folder: Path
    stored: StoredPerceiver

    @property
    def config(self) -> dict[str, Any]:
        """What their graphs compute."""
        return self.stored.config.to_dict()

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """By the names that graphs have for them."""
        return self.stored.weights

    def graphs(self) -> GraphFolder | None:
        """The graphs that there are of them. Raises ModelError for damaged ones and those of others."""
        return graph_perceiver.graphs_for(self.stored.config, self.folder)

    def traced(self) -> Iterator[tuple[str, Traced]]:
        """All of their graphs by name, each made when it is asked for."""
        from clearair.exporting.perceivers import perceiver_graphs
        from clearair.perception import load_compact

        yield from perceiver_graphs(load_compact(self.folder))

    def expected(self) -> Answers:
        """What PyTorch answers."""
        from clearair.perception import load_compact

        return perceived(load_compact(self.folder))

    def answers(self, graphs: Opens) -> Answers:
        """What graphs answer."""
        weights = {name: value.astype(np.float32) for name, value in self.weights.items()}
        stored = self.stored
        return perceived(graph_perceiver.GraphPerceiver(stored.config, stored.caution, weights, graphs))


Source = RestorerSource | PerceiverSource


def find_source(name: str | Path) -> Source:
    """A restorer by name or folder, or perceivers: "perceivers", or a folder of their files.

    Raises ModelError when there is no such model, when files are missing or damaged, and for perceivers that
    have no recognizer.
    """
    folder = shipped_folder() if str(name) == PERCEIVERS else Path(name).expanduser()
    if not _holds_perceivers(folder):
        return RestorerSource(read_model(name))
    stored = read_perceiver(folder)
    if not stored.has_recognizer:
        raise ModelError(f"{folder}: has no recognizer, and such perceivers run on PyTorch alone.")
    return PerceiverSource(folder, stored)


def _holds_perceivers(folder: Path) -> bool:
    try:
        values = json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError):
        return False  # the next reader reports the error
    return isinstance(values, dict) and "eyes" in values

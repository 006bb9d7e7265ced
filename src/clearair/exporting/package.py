"""Write the graphs of a model or of perceivers beside their weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clearair.errors import OutputError
from clearair.exporting.perceivers import perceiver_graphs
from clearair.exporting.restorer import judge_graph, window_graph
from clearair.exporting.tracing import Traced
from clearair.finishing import FinishedNetwork
from clearair.graphs import GRAPHS, describe_graphs
from clearair.image import write_atomically
from clearair.perception.compact.perceiver import CompactPerceiver


def restorer_graphs(network: FinishedNetwork) -> dict[str, Traced]:
    """All graphs that ONNX Runtime needs of a restorer; takes minutes."""
    graphs = {"judge": judge_graph(network), "window": window_graph(network)}
    if network.config.tone:
        graphs["keep_tone"] = window_graph(network, keep_tone=True)
    return graphs


def write_restorer_graphs(network: FinishedNetwork, folder: Path) -> None:
    """Put the graphs of a network into the folder of its model. Raises OutputError and ModelError."""
    _write(network.config.to_dict(), restorer_graphs(network), folder)


def write_perceiver_graphs(perceiver: CompactPerceiver, folder: Path) -> None:
    """Put the graphs of a perceiver into its folder. Raises OutputError and ModelError."""
    _write(perceiver.config.to_dict(), perceiver_graphs(perceiver), folder)


def _write(config: Mapping[str, Any], graphs: Mapping[str, Traced], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made: {error.strerror}.") from error
    for name, traced in graphs.items():
        write_atomically(folder / f"{name}.onnx", traced.data, overwrite=True)
    # Last, so that a list never names what is not there.
    listed = describe_graphs(config, {name: (traced.data, traced.weights) for name, traced in graphs.items()})
    write_atomically(folder / GRAPHS, listed, overwrite=True)

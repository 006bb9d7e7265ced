"""A PyTorch module as an ONNX graph without weights."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clearair.errors import MissingExtraError

OPSET = 20

Axes = Mapping[int, str]
"""Axes of an input that may have any length, by number."""


@dataclass(frozen=True)
class Traced:
    """A graph, and the names of the tensors that it takes as weights."""

    data: bytes
    """A serialised ONNX model, whose weights are declared and lie elsewhere."""
    weights: tuple[str, ...]
    """As the model's weight file names them."""


class _Called(nn.Module):
    """A module whose weights are inputs like the others, so that the exporter folds none of them in."""

    def __init__(self, module: nn.Module, names: Sequence[str], inputs: int) -> None:
        super().__init__()
        # Hidden from PyTorch, which would export its tensors as constants.
        self.__dict__["called"] = module
        self.names = tuple(names)
        self.inputs = inputs

    def forward(self, *values: Tensor) -> Any:
        inputs, weights = values[: self.inputs], values[self.inputs :]
        called = self.__dict__["called"]
        return torch.func.functional_call(called, dict(zip(self.names, weights, strict=True)), inputs)


def trace(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    axes: Mapping[str, Axes],
    *,
    prefix: str = "",
) -> Traced:
    """Export a module that takes these inputs, in this order, and returns a tensor or a tuple of them.

    `inputs` are examples. `axes` says which of theirs may have any length. Weights get the names of the
    module's state dict, without `prefix`. Takes seconds to minutes. Raises MissingExtraError when onnx or
    onnxscript is not there.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  the exporter's own dependency
    except ImportError as error:
        raise MissingExtraError(f"Exporting needs {error.name}: pip install 'clearair[export]'") from error
    module = module.eval()
    state = module.state_dict()
    called = _Called(module, list(state), len(inputs))
    weights = {name.removeprefix(prefix): value.detach() for name, value in state.items()}
    dynamic = [dict.fromkeys(axes.get(name, {}), torch.export.Dim.DYNAMIC) or None for name in inputs]
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            called,
            (*inputs.values(), *weights.values()),
            dynamo=True,
            dynamic_shapes=((*dynamic, *[None] * len(weights)),),
            input_names=[*inputs, *weights],
            output_names=list(outputs),
            opset_version=OPSET,
            verify=False,
            optimize=True,
        )
    assert program is not None
    model = program.model_proto
    used = {name for node in model.graph.node for name in node.input}
    taken = tuple(name for name in weights if name in used)
    _strip(onnx, model, weights, taken)
    return Traced(model.SerializeToString(deterministic=True), taken)


def _strip(onnx: Any, model: Any, weights: Mapping[str, Tensor], taken: Sequence[str]) -> None:
    """Turn weight inputs into external initializers, and drop unused inputs."""
    graph = model.graph
    kept = [entry for entry in graph.input if entry.name not in weights]
    del graph.input[:]
    graph.input.extend(kept)
    for name in taken:
        tensor = graph.initializer.add()
        tensor.name, tensor.data_type = name, onnx.TensorProto.FLOAT
        tensor.dims.extend(weights[name].shape)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        place = tensor.external_data.add()
        place.key, place.value = "location", "model.safetensors"
    # If ONNX Runtime knows that two shapes are equal, it keeps the memory of the first for the second, for
    # all levels at once. It needs to know only which maps of convolutions it can multiply without copying.
    maps = {node.output[0] for node in graph.node if node.op_type == "Conv"}
    shapes = [entry for entry in graph.value_info if entry.name in maps]
    del graph.value_info[:]
    graph.value_info.extend(shapes)
    del graph.metadata_props[:]
    del model.metadata_props[:]
    graph.name, graph.doc_string = "clearair", ""
    model.producer_version = ""
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = node.name = ""
    for entry in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        del entry.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Any:
    """Suppress the progress and deprecation messages of the exporter."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)

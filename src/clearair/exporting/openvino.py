"""Graphs as OpenVINO files, converted and run in a separate process, since OpenVINO crashed on some CPUs.

`python -m clearair.exporting.openvino MODEL FOLDER` is that process. It replaces every `.onnx` file of the
folder by an `.xml` and a `.bin` file, and leaves what they answer in `answers.npz`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import OutputError
from clearair.exporting.parity import Answers
from clearair.exporting.sources import Source, find_source
from clearair.graphs import Arrays, GraphFolder

_ANSWERS = "answers.npz"


def convert(source: Source, graphs: GraphFolder, folder: Path) -> Answers:
    """Write a model's graphs, weights included, as OpenVINO's files into a folder; what these answer.

    Raises OutputError when OpenVINO fails or crashes.
    """
    for name in graphs.graphs:
        (folder / f"{name}.onnx").write_bytes(_with_weights(graphs, name, source.weights))
    command = [sys.executable, "-m", __name__, str(source.folder), str(folder)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode < 0:
        raise OutputError(
            f"{source.folder}: OpenVINO crashed with it on this processor (signal {-done.returncode}); "
            "nothing is written."
        )
    if done.returncode > 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise OutputError(f"{source.folder}: OpenVINO failed ({said[-1]}); nothing is written.")
    with np.load(folder / _ANSWERS) as stored:
        answers = dict(stored)
    (folder / _ANSWERS).unlink()
    return answers


def _with_weights(graphs: GraphFolder, name: str, weights: Arrays) -> bytes:
    """The bytes of a graph that holds its weights, as float32."""
    import onnx

    model = onnx.load_model_from_string(graphs.graphs[name].path.read_bytes())
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            tensor.ClearField("external_data")
            tensor.data_location = onnx.TensorProto.DEFAULT
            tensor.raw_data = np.ascontiguousarray(weights[tensor.name], "<f4").tobytes()
    data: bytes = model.SerializeToString()
    return data


class _Compiled:
    """A file of OpenVINO, compiled for the CPU in 32 bits, as PyTorch is asked."""

    def __init__(self, core: Any, path: Path) -> None:
        self._model = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(self, inputs: Arrays, *, give_back: bool = False) -> dict[str, NDArray[Any]]:
        """All outputs by name."""
        found = self._model({entry.any_name: inputs[entry.any_name] for entry in self._model.inputs})
        return {entry.any_name: found[entry].copy() for entry in self._model.outputs}


class _Folder:
    """Files of OpenVINO in a folder."""

    def __init__(self, core: Any, path: Path) -> None:
        self._core = core
        self._path = path

    def open(self, name: str, weights: Arrays) -> _Compiled:
        """The file with this name; it has its weights already."""
        return _Compiled(self._core, self._path / f"{name}.xml")


def _work(model: str, folder: Path) -> None:
    # OpenVINO reports its use if this package is present; without it, it cannot.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    core = openvino.Core()
    for file in sorted(folder.glob("*.onnx")):
        openvino.save_model(core.read_model(file), file.with_suffix(".xml"), compress_to_fp16=False)
        file.unlink()
    answers: dict[str, Any] = dict(find_source(model).answers(_Folder(core, folder)))
    np.savez(folder / _ANSWERS, **answers)


if __name__ == "__main__":
    _work(sys.argv[1], Path(sys.argv[2]))

"""Graphs that ONNX Runtime runs: structure in `.onnx` files, weights from the model's own safetensors file.

A folder of a model may hold `graphs.json`, which lists its graphs: which configuration they compute, which
weights each takes, and a checksum. A graph holds no weights, so those exist once, and one set of graphs
serves all models of one configuration. `clearair export` writes both.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ModelError
from clearair.memory import is_shortage

GRAPHS = "graphs.json"
FORMAT_VERSION = 1
LEAST = (1, 22)
"""The oldest ONNX Runtime that is known to run the graphs."""

Arrays = Mapping[str, NDArray[Any]]


class Runs(Protocol):
    """A graph with its weights, ready to run."""

    def run(self, inputs: Arrays, *, give_back: bool = False) -> dict[str, NDArray[Any]]:
        """All outputs by name. `give_back` keeps no memory for the next run."""


class Opens(Protocol):
    """The graphs of one model, independent of where they are stored and what runs them."""

    def open(self, name: str, weights: Arrays) -> Runs:
        """The graph with this name, ready to run."""


@dataclass(frozen=True)
class Graph:
    """One graph of a folder, not loaded yet."""

    path: Path
    sha256: str
    weights: tuple[str, ...]
    """Names of the tensors that it takes from the model's weights."""


@dataclass(frozen=True)
class GraphFolder:
    """The graphs that lie beside a model."""

    path: Path
    config: dict[str, Any]
    """The configuration that they compute."""
    graphs: dict[str, Graph]

    def open(self, name: str, weights: Arrays) -> Session:
        """A session of the graph with this name. Raises ModelError when its file is missing or damaged."""
        if name not in self.graphs:
            raise ModelError(f"{self.path / GRAPHS}: lists no graph {name!r}; run `clearair export` again.")
        return Session(self.graphs[name], weights)


def read_graphs(folder: Path) -> GraphFolder | None:
    """The graphs of a model's folder; None where it has none. Raises ModelError for a damaged list."""
    path = folder / GRAPHS
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}); run `clearair export` again.") from error
    try:
        if values["format"] != FORMAT_VERSION:
            raise ModelError(
                f"{path}: format {values['format']!r}, but this version of clearair reads {FORMAT_VERSION}; "
                "run `clearair export` again."
            )
        graphs = {
            str(name): Graph(folder / Path(entry["file"]).name, str(entry["sha256"]), tuple(entry["weights"]))
            for name, entry in values["graphs"].items()
        }
        return GraphFolder(folder, dict(values["config"]), graphs)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelError(f"{path}: not a list of graphs; run `clearair export` again.") from error


def describe_graphs(config: Mapping[str, Any], graphs: Mapping[str, tuple[bytes, Sequence[str]]]) -> bytes:
    """What `graphs.json` says of graphs, each the bytes of NAME.onnx and the weights that it takes."""
    entries = {
        name: {
            "file": f"{name}.onnx",
            "sha256": hashlib.sha256(data).hexdigest(),
            "weights": list(weights),
        }
        for name, (data, weights) in graphs.items()
    }
    values = {"format": FORMAT_VERSION, "config": config, "graphs": entries}
    return (json.dumps(values, indent=1) + "\n").encode()


def same_config(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether two configurations agree, of which `stored` was read from JSON, where tuples are lists."""
    return dict(stored) == {
        name: list(value) if isinstance(value, tuple) else value for name, value in wanted.items()
    }


class Session:
    """One graph with its weights, ready to run; it is built again in a forked process.

    It takes all cores that the process may use, or this thread's part of them in a `Crowd`.
    Raises ModelError when the file is missing, damaged, or does not take these weights.
    """

    def __init__(self, graph: Graph, weights: Arrays) -> None:
        self._graph = graph
        self._weights = {name: weights[name] for name in graph.weights if name in weights}
        if missing := [name for name in graph.weights if name not in weights]:
            raise ModelError(
                f"{graph.path}: needs {len(missing)} weights that the model lacks, such as {missing[0]}; "
                "it is the graph of another model."
            )
        self._opening = threading.Lock()
        self._process = os.getpid()
        count = _threads_here()
        self._sessions = {count: self._opened(count)}
        _opened.add(self)

    def keep(self) -> None:
        """Never close a session: closing it would wait for threads that a forked process does not have."""
        self._opening = threading.Lock()
        for session in self._sessions.values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))

    def run(self, inputs: Arrays, *, give_back: bool = False) -> dict[str, NDArray[Any]]:
        """All outputs by name. `give_back` keeps no memory for the next run.

        Raises MemoryError when there is too little memory.
        """
        session = self._for_this_thread()
        options = None
        if give_back:
            options = onnx_runtime().RunOptions()
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        names = [output.name for output in session.get_outputs()]
        wanted = {entry.name for entry in session.get_inputs()}
        try:
            values = session.run(names, {name: inputs[name] for name in wanted}, options)
        except Exception as error:  # ONNX Runtime's errors share no base class but this
            if is_shortage(error):
                raise MemoryError("there is too little memory") from error
            raise
        return dict(zip(names, values, strict=True))

    def _for_this_thread(self) -> Any:
        count = _threads_here()
        with self._opening:
            if os.getpid() != self._process:
                # A forked process has none of the threads that the sessions wait for.
                self._sessions, self._process = {}, os.getpid()
            if count not in self._sessions:
                self._sessions[count] = self._opened(count)
            return self._sessions[count]

    def _opened(self, threads: int) -> Any:
        runtime = onnx_runtime()
        path = self._graph.path
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise ModelError(f"{path}: is missing; run `clearair export` again.") from error
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror or error}.") from error
        if hashlib.sha256(data).hexdigest() != self._graph.sha256:
            raise ModelError(f"{path}: is damaged, or not the graph that {GRAPHS} lists.")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Memory patterns take 1.5 times the memory that is in use at once. The arena keeps its memory, which
        # is little for windows up to one size; without it every tensor needs new pages.
        options.enable_mem_pattern = False
        options.log_severity_level = 4  # what goes wrong is raised
        values = [
            runtime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(self._weights[name], np.float32))
            for name in self._graph.weights
        ]
        if values:
            options.add_external_initializers(list(self._graph.weights), values)
        try:
            return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            if is_shortage(error):
                raise MemoryError("there is too little memory") from error
            first = str(error).partition("\n")[0]
            raise ModelError(f"{path}: ONNX Runtime {runtime.__version__} cannot run it: {first}") from error


_opened: weakref.WeakSet[Session] = weakref.WeakSet()


def _keep_all() -> None:
    for session in _opened:
        session.keep()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_all)


class Crowd:
    """Threads that run graphs at the same time, and share the cores instead of waiting for each other."""

    def __init__(self) -> None:
        self._counting = threading.Lock()
        self._count = 0

    def __enter__(self) -> Crowd:
        with self._counting:
            self._count += 1
        self.share()
        return self

    def __exit__(self, *_: object) -> None:
        with self._counting:
            self._count -= 1
        _here.threads = None

    def share(self) -> None:
        """From now on use this thread's share of the cores."""
        _here.threads = max(1, usable_cores() // self._count)


_here = threading.local()


def _threads_here() -> int:
    return getattr(_here, "threads", None) or usable_cores()


def usable_cores() -> int:
    """Cores that this process may use."""
    if _most_cores is not None:
        return _most_cores
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_most_cores: int | None = None


def limit_cores(count: int) -> None:
    """From now on use this many cores, where several processes share a machine."""
    global _most_cores
    _most_cores = max(1, count)


def onnx_runtime() -> Any:
    """ONNX Runtime, loaded so that it sends nothing.

    Raises ModelError when it is not there or too old, MemoryError when there is too little memory for it.
    """
    # From 1.29 on it reports its use and writes a device id to the home folder, unless this is set first.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError as error:
        if is_shortage(error):
            raise MemoryError("there is too little memory to load ONNX Runtime") from error
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error  # its own start hides what stopped it
        raise ModelError(f"ONNX Runtime cannot be loaded ({error}): pip install onnxruntime") from error
    found = re.match(r"(\d+)\.(\d+)", onnxruntime.__version__)
    if found is not None and (int(found[1]), int(found[2])) < LEAST:
        least = ".".join(map(str, LEAST))
        raise ModelError(
            f"ONNX Runtime {onnxruntime.__version__} is too old, {least} is needed: "
            "pip install --upgrade onnxruntime"
        )
    return onnxruntime

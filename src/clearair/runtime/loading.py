"""A saved model and its perceivers, ready to run: on ONNX Runtime, or on PyTorch where that is faster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

from clearair.errors import ModelError, UsageError
from clearair.memory import require_pytorch_room
from clearair.models.catalogue import find_checkpoint
from clearair.models.stamp import PerceiverStamp
from clearair.models.stored import read_config, read_model
from clearair.optional import has_pytorch, pytorch_is_faster, require_pytorch
from clearair.perception.compact.graph_perceiver import load_graph_perceiver
from clearair.perception.protocol import Perceiver, check_perceiver
from clearair.runtime.onnx import OnnxRuntime, graphs_for
from clearair.runtime.protocol import Backend, Device, Precision, Runtime

VARIABLE = "CLEARAIR_BACKEND"
"""Environment variable that says which backend "auto" prefers."""


def load_runtime(
    name: str | Path,
    perceiver: Perceiver | None = None,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    backend: Backend = "auto",
    compile: bool = False,
    early: bool = False,
) -> tuple[Runtime, Perceiver]:
    """A model by name or path, and what guides it: by default the perceivers that ship.

    A file is a checkpoint of another project, which nothing guides.

    `backend` "auto" takes PyTorch where it is installed and either asked for by `device` or `precision`, or
    faster: on a GPU, and on processors that multiply bfloat16. Else it takes ONNX Runtime. The environment
    variable CLEARAIR_BACKEND says which of the two "auto" prefers. `compile` lets PyTorch compile the
    network. `early` lets ONNX Runtime build graphs in a thread that may outlast this call: it is ready
    sooner, but the memory of the process still grows meanwhile. Raises ModelError when the model is unknown,
    damaged or was trained with other perceivers, or has no graphs for ONNX Runtime; UsageError for a device
    that is not there and for choices that contradict each other.
    """
    if perceiver is not None:
        check_perceiver(perceiver)
    checkpoint = find_checkpoint(name)
    needs_pytorch = compile or device not in ("auto", "cpu") or precision not in ("auto", "fp32")
    chosen = _chosen(name, backend, needs_pytorch or checkpoint is not None)
    if chosen == "onnx":
        return _on_onnx(name, perceiver, early)
    if needs_pytorch:
        require_pytorch(f"device={device}, precision={precision}, compile={compile}")
    require_pytorch(f"{name}, a checkpoint of another project," if checkpoint else "The backend torch")
    if checkpoint is None:
        return _on_pytorch(name, perceiver, device, precision, compile)
    if compile:
        raise UsageError(f"{checkpoint}: checkpoints of other projects are not compiled; leave out compile.")
    return _load_public(checkpoint, perceiver, device, precision)


def _chosen(name: str | Path, backend: Backend, needs_pytorch: bool) -> Literal["onnx", "torch"]:
    """The backend to use; the caller knows whether only PyTorch is possible."""
    for source, word in (("backend", backend), (VARIABLE, os.environ.get(VARIABLE, "auto"))):
        if word not in get_args(Backend):
            raise UsageError(
                f"{source}={word}: there is no such backend; use {', '.join(get_args(Backend))}."
            )
    if backend == "onnx" and needs_pytorch:
        raise UsageError(
            "The backend onnx computes on the CPU in fp32, and runs no checkpoints of other projects; use "
            "the backend torch."
        )
    if backend != "auto":
        return backend
    if needs_pytorch:
        return "torch"
    preferred = os.environ.get(VARIABLE, "auto")
    if preferred == "torch" or (preferred == "auto" and pytorch_is_faster()):
        return "torch"
    if not has_pytorch():
        return "onnx"
    folder, network, _ = read_config(name)
    return "torch" if graphs_for(folder, network) is None else "onnx"


def usual_backend() -> Literal["onnx", "torch"]:
    """The backend that the shipped model runs on unless an option says otherwise. Raises UsageError."""
    return _chosen("compact", "auto", needs_pytorch=False)


def load_perceiver(folder: Path | str | None = None) -> Perceiver:
    """The perceivers that ship, or those saved in `folder`, on ONNX Runtime where there are graphs of them.

    Raises ModelError when files are missing or damaged, MissingExtraError when it needs PyTorch.
    """
    folder = None if folder is None else Path(folder).expanduser()
    found = load_graph_perceiver(folder)
    if found is not None:
        return found
    require_pytorch("A perceiver without graphs")
    from clearair.perception import load_compact

    return load_compact(folder)


def _on_onnx(name: str | Path, perceiver: Perceiver | None, early: bool) -> tuple[Runtime, Perceiver]:
    stored = read_model(name)
    graphs = graphs_for(stored.folder, stored.network)
    if graphs is None:
        raise ModelError(
            f"{name}: has no graphs for ONNX Runtime: write them with `clearair export`, or use PyTorch "
            "(pip install 'clearair[torch]')."
        )
    runtime = OnnxRuntime(stored, graphs)
    if early:
        runtime.open_early()
    guide = perceiver or load_perceiver()
    _check_perceivers(name, stored.perceivers, guide)
    return runtime, guide


def _on_pytorch(
    name: str | Path, perceiver: Perceiver | None, device: Device, precision: Precision, compile: bool
) -> tuple[Runtime, Perceiver]:
    require_pytorch_room()
    from clearair.models import load_model
    from clearair.perception import load_compact
    from clearair.runtime.pytorch import PyTorchRuntime

    saved = load_model(name)
    guide = perceiver or load_compact()
    _check_perceivers(name, saved.perceivers, guide)
    runtime = PyTorchRuntime(saved.build(), device=device, precision=precision, compile=compile)
    return runtime, guide.to(runtime.device)


def _check_perceivers(name: str | Path, stamp: PerceiverStamp, guide: Perceiver) -> None:
    try:
        stamp.check(PerceiverStamp.of(guide))
    except ModelError as error:
        raise ModelError(f"{name}: {error}.") from error


def _load_public(
    checkpoint: Path, perceiver: Perceiver | None, device: Device, precision: Precision
) -> tuple[Runtime, Perceiver]:
    """A checkpoint of another project, and perceivers that only report what they find."""
    require_pytorch_room()
    from clearair.models.public import open_public
    from clearair.perception import load_compact
    from clearair.runtime.plain import PlainRuntime

    runtime = PlainRuntime(open_public(checkpoint), device=device, precision=precision)
    return runtime, (perceiver or load_compact()).to(runtime.device)

"""Public checkpoints of other projects, such as NAFNet's or SCUNet's: spandrel knows their networks.

Shapes: C channels, h x w pixels.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from clearair.errors import MissingExtraError, ModelError
from clearair.files.outputs import check_file
from clearair.models.stored import WEIGHTS, holds_model
from clearair.placing import write_atomically
from clearair.weights import NUMPY_NUMBERS, find_weights, read_weight_file

_INSTALL = "pip install 'clearair[spandrel]'"
_TRUST = "If you trust it: clearair models convert FILE --trust-pickle writes its weights without code."


@dataclass(frozen=True, eq=False)
class PublicModel:
    """A network that maps pictures to pictures of the same size, and its requirements."""

    name: str
    """The file it was read from."""
    architecture: str
    """Such as "NAFNet"."""
    network: nn.Module
    """(1, C, h, w) in [0, 1] -> (1, C, h, w); it pads pictures whose sides do not suit it."""
    channels: int = 3
    """C: 3 for RGB, 1 for grey."""
    multiple: int = 1
    """What h and w should be multiples of."""
    sees_whole: bool = False
    """Whether it uses statistics of its whole input, so that large tiles suit it better."""
    precisions: tuple[str, ...] = ("fp32", "bf16")
    """Supported precisions."""
    code: str = "spandrel"
    """The package that holds its network."""


def open_public(path: Path | str, *, trust_pickle: bool = False) -> PublicModel:
    """The network of a checkpoint with its weights, float32, in evaluation mode.

    With `trust_pickle` a file that holds code is opened too, and its code runs. Raises MissingExtraError
    without spandrel, ModelError when the file is damaged or refused, or its network is unknown or does
    anything but restore pictures at their size.
    """
    file = find_weights(path)
    if _is_own(file):
        raise ModelError(
            f"{file}: a checkpoint of `clearair train`; resume its run with --save FOLDER to get a model."
        )
    if file.name == WEIGHTS and holds_model(file.parent):
        raise ModelError(f"{file}: the weights of a clearair model; name its folder, {file.parent}.")
    spandrel = load_spandrel()
    read = read_weight_file(file, allowed=NUMPY_NUMBERS, trust_pickle=trust_pickle, hint=_TRUST)
    descriptor = _described(spandrel, read, file)
    _check(spandrel, descriptor, file)
    precisions = ("fp32", *(["bf16"] if descriptor.supports_bfloat16 else []))
    return PublicModel(
        name=str(path),
        architecture=descriptor.architecture.name,
        network=_Described(descriptor).eval().requires_grad_(False),
        channels=descriptor.input_channels,
        multiple=descriptor.size_requirements.multiple_of,
        sees_whole=descriptor.tiling is not spandrel.ModelTiling.SUPPORTED,
        precisions=(*precisions, *(["fp16"] if descriptor.supports_half else [])),
        code=type(descriptor.architecture).__module__.partition(".")[0],
    )


def _is_own(file: Path) -> bool:
    """Whether a file is a checkpoint of a training run of clearair."""
    try:
        with safe_open(file, "pt") as stored:
            return "clearair" in (stored.metadata() or {})
    except (OSError, SafetensorError):
        return False  # of another format


def load_spandrel() -> ModuleType:
    """The package spandrel.

    Raises MissingExtraError when it, or a package it needs, is not installed, ModelError when it does not
    load.
    """
    try:
        with _quiet():
            return import_module("spandrel")
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"Checkpoints of other projects need {error.name}: {_INSTALL}") from error
    except Exception as error:  # a torchvision that does not fit can fail in many ways
        raise ModelError(
            f"spandrel does not load: torchvision {version_of('torchvision')} does not fit PyTorch "
            f"{torch.__version__} ({_line(error)}). Install both from one index: "
            "https://pytorch.org/get-started/locally says how."
        ) from error


def convert_public(
    path: Path | str, target: Path, *, trust_pickle: bool = False, overwrite: bool = False
) -> PublicModel:
    """Write the weights of a checkpoint as safetensors, which holds no code; a description of them.

    Raises ModelError as `open_public` does, OutputError when the file cannot be written.
    """
    check_file(target, overwrite=overwrite, inputs=[find_weights(path)])
    model = open_public(path, trust_pickle=trust_pickle)
    assert isinstance(model.network, _Described)
    weights = {name: value.clone() for name, value in model.network.network.state_dict().items()}
    write_atomically(target, save(weights), overwrite=overwrite)
    return model


class _Described(nn.Module):
    """spandrel's description of a network, as a module."""

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.network: nn.Module = descriptor.model
        self._descriptor = descriptor

    def forward(self, image: Tensor) -> Tensor:
        """(1, C, h, w) in [0, 1] -> (1, C, h, w) in [0, 1]."""
        restored: Tensor = self._descriptor(image)
        return restored


def _described(spandrel: ModuleType, read: Any, file: Path) -> Any:
    """spandrel's description of the network that fits what was read."""
    if isinstance(read, nn.Module):  # a whole network, which only a trusted pickle can be
        read = read.state_dict()
    if not isinstance(read, Mapping):
        raise ModelError(f"{file}: holds no tensors by name, so it is no checkpoint of a network.")
    registry = _registry(spandrel)
    found = ""
    try:
        weights = spandrel.canonicalize_state_dict(dict(read))
        found = next((each.architecture.name for each in registry if each.detect(weights)), "")
        with _quiet():
            return registry.load(weights)
    except spandrel.UnsupportedModelError:
        beside = file.name == "model.safetensors" and (file.parent / "config.json").exists()
        hint = f" For a model of clearair name its folder, {file.parent}." if beside else ""
        raise ModelError(
            f"{file}: its network is none of the {len(registry)} that spandrel {version_of('spandrel')} "
            f"knows.{hint}"
        ) from None
    except Exception as error:  # reading sizes from other names and shapes can fail in many ways
        raise ModelError(f"{file}: does not fit {found or 'any network'}: {_line(error)}") from error


def _registry(spandrel: ModuleType) -> Any:
    """The networks that spandrel knows, and those of its non-commercial package where it is installed."""
    registry = spandrel.MAIN_REGISTRY.copy()
    try:
        with _quiet():
            extra = import_module("spandrel_extra_arches")
    except ModuleNotFoundError:
        return registry
    except Exception as error:
        raise ModelError(f"spandrel_extra_arches does not load: {_line(error)}") from error
    registry.add(*extra.EXTRA_REGISTRY, ignore_duplicates=True)
    return registry


def _check(spandrel: ModuleType, descriptor: Any, file: Path) -> None:
    """Raise ModelError for a network that does anything but restore pictures at their size."""
    name = descriptor.architecture.name
    channels = descriptor.input_channels, descriptor.output_channels
    if not isinstance(descriptor, spandrel.ImageModelDescriptor):
        reason = "fills holes that a mask shows; only networks that restore whole pictures can be used"
    elif descriptor.purpose == "FaceSR":
        reason = "redraws single faces; only networks that restore whole pictures can be used"
    elif descriptor.scale != 1:
        reason = f"enlarges pictures {descriptor.scale} times; only networks that keep the size can be used"
    elif channels not in ((3, 3), (1, 1)):
        reason = (
            f"makes {channels[1]} channels of {channels[0]}; only RGB (3 of 3) and grey (1 of 1) can be used"
        )
    else:
        bad = [key for key, value in descriptor.model.state_dict().items() if not value.isfinite().all()]
        if not bad:
            return
        raise ModelError(f"{file}: {len(bad)} tensors are not finite, such as {bad[0]}.")
    raise ModelError(f"{file}: {name} {reason}.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings of libraries older than this PyTorch, and of their torchvision."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def version_of(package: str) -> str:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "(of unknown version)"


def _line(error: Exception, most: int = 160) -> str:
    """The message of an exception, in one line of limited length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[:most]}..."

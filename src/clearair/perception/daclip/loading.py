"""DA-CLIP from its authors' file, or from safetensors of the same names; every name and shape is checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clearair.errors import ModelError
from clearair.perception.daclip.config import read_config, size_from
from clearair.perception.daclip.model import DaClip
from clearair.perception.daclip.perceiver import DaClipDegradation
from clearair.weights import (
    NUMPY_NUMBERS,
    building,
    check_fit,
    find_weights,
    read_weight_file,
    tensors_by_name,
)

_TEMPERATURES = ("logit_scale", "clip.logit_scale")
"""Of the contrastive training; the probabilities have a fixed one."""


def load_daclip(
    weights: Path | str, config: Mapping[str, Any] | Path | str | None = None
) -> DaClipDegradation:
    """The perceiver from a file, or from a folder with one such file and perhaps its open_clip config.

    Sizes come from the shapes of the tensors; `config` overrides them and says how many heads there are where
    they are not 64 wide. Raises ModelError of one line.
    """
    path = find_weights(weights)
    if config is None and Path(weights).expanduser().is_dir():
        config = _config_in(path.parent)
    tensors = _tensors(read_weight_file(path, allowed=NUMPY_NUMBERS), path)
    with building(path, "a DA-CLIP"):
        try:
            size = size_from(_ours(tensors), None if config is None else read_config(config))
        except ModelError as error:
            raise ModelError(f"{path}: {str(error).removesuffix('.')}.") from error
        with torch.device("meta"):  # shapes only: nothing is allocated for weights that may not fit
            model = DaClip(size)
    check_fit(tensors, _expected(model, tensors), path, "DA-CLIP")
    if differing := [name for name in _duplicates(tensors) if not _same(tensors, name)]:
        raise ModelError(f"{path}: clip.{differing[0]} and its duplicate {differing[0]} differ.")
    ours = {name: tensor.float() for name, tensor in _ours(tensors).items()}
    model.load_state_dict(ours, assign=True)
    return DaClipDegradation(model)


def _config_in(folder: Path) -> Path | None:
    for path in sorted(folder.glob("*.json")):
        try:
            values = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(values, dict) and isinstance(values.get("model_cfg", values), dict):
            values = values.get("model_cfg", values)
            if "vision_cfg" in values:
                return path
    return None


def _tensors(read: Any, path: Path) -> dict[str, Tensor]:
    """What a file holds, under the names of its authors."""
    # open_clip's training puts the weights into an entry.
    found = tensors_by_name(read, path, "DA-CLIP", inside=("state_dict",))
    names = [*found]
    if all(name.startswith("module.") for name in names):  # trained on several GPUs
        names = [name.removeprefix("module.") for name in names]
    if not any(name.startswith("visual_control.") for name in names):
        raise ModelError(f"{path}: is not DA-CLIP's: no tensor is named visual_control.*.")
    return dict(zip(names, found.values(), strict=True))


def _ours(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Under the names of `DaClip`, duplicates and temperatures left out."""
    return {_our_name(name): value for name, value in tensors.items() if name not in _TEMPERATURES}


def _our_name(name: str) -> str:
    if name.startswith("clip.visual."):
        return name.removeprefix("clip.")
    return f"text.{name.removeprefix('clip.')}" if name.startswith("clip.") else name


def _expected(model: DaClip, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What such a file must hold, under the names of its authors.

    The image tower stands twice in their file; one of the two may be left out as a whole.
    """
    towers = [
        prefix for prefix in ("clip.visual.", "visual.") if any(name.startswith(prefix) for name in tensors)
    ]
    expected = {name: tensors[name] for name in _TEMPERATURES if name in tensors}
    for name, value in model.state_dict().items():
        if name.startswith("visual."):
            for prefix in towers or ["clip.visual."]:
                expected[prefix + name.removeprefix("visual.")] = value
        else:
            expected[f"clip.{name.removeprefix('text.')}" if name.startswith("text.") else name] = value
    return expected


def _duplicates(tensors: Mapping[str, Tensor]) -> list[str]:
    return [name for name in tensors if name.startswith("visual.") and f"clip.{name}" in tensors]


def _same(tensors: Mapping[str, Tensor], name: str) -> bool:
    one, other = tensors[name], tensors[f"clip.{name}"]
    return one.data_ptr() == other.data_ptr() or torch.equal(one, other)

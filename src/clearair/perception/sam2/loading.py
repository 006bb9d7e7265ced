"""SAM 2 from its authors' `.pt`, or from a folder of the Hub; every name and shape is checked."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clearair.errors import ModelError
from clearair.perception.sam2.names import expected_names, is_authors, renamed, without_video
from clearair.perception.sam2.regions import Sam2Regions
from clearair.perception.sam2.settings import MaskSettings
from clearair.perception.sam2.sizes import check_counts, read_config, sizes_from_shapes, with_square
from clearair.weights import building, check_fit, find_weights, merged, read_weight_file, tensors_by_name


def load_sam2(
    weights: Path | str,
    config: Mapping[str, Any] | Path | str | None = None,
    settings: MaskSettings | None = None,
) -> Sam2Regions:
    """The perceiver from a file of either naming, or from the folder of one and its `config.json`.

    Sizes come from that config, or from the shapes of the tensors; `config` overrides them. What only videos
    need is left in the file. Raises ModelError of one line.
    """
    if importlib.util.find_spec("transformers") is None:
        raise ModelError("The perceiver 'sam2' needs transformers: pip install 'clearair[sam2]'.")
    from transformers import Sam2Config, Sam2Model

    path = _weight_file(Path(weights).expanduser())
    tensors = without_video(_tensors(read_weight_file(path), path))
    with building(path, "a SAM 2"):
        sizes = _sizes(tensors, path, config)
        check_counts(sizes)
        with torch.device("meta"):  # shapes only: nothing is allocated for weights that may not fit
            model = Sam2Model(Sam2Config(**sizes))
    ours = model.state_dict()
    check_fit(tensors, expected_names(ours, tensors), path, "SAM 2")
    values = {name: value.float() for name, value in renamed(ours, tensors).items()}
    model.load_state_dict(values, assign=True)
    return Sam2Regions(model, settings)


def _weight_file(path: Path) -> Path:
    """A folder of the Hub may hold the weights in both namings; the config beside them is transformers'."""
    if (path / "config.json").is_file() and (path / "model.safetensors").is_file():
        return path / "model.safetensors"
    return find_weights(path)


def _tensors(read: Any, path: Path) -> dict[str, Tensor]:
    tensors = tensors_by_name(read, path, "SAM 2", inside=("model",))
    names = ("image_encoder.trunk.pos_embed_window", "vision_encoder.backbone.pos_embed_window")
    if not any(name in tensors for name in names):
        raise ModelError(f"{path}: is not SAM 2's: it has neither {names[0]} nor {names[1]}.")
    return tensors


def _sizes(
    tensors: Mapping[str, Tensor], path: Path, config: Mapping[str, Any] | Path | str | None
) -> dict[str, Any]:
    sizes: dict[str, Any] = {}
    beside = path.parent / "config.json"
    if is_authors(tensors):
        try:
            sizes = sizes_from_shapes(tensors)
        except (KeyError, IndexError, ZeroDivisionError) as error:
            raise ModelError(f"{path}: does not fit SAM 2: 1 tensor missing: {error.args[0]}.") from error
        backbone = sizes["vision_config"]["backbone_config"]
        if config is None and "global_attention_blocks" not in backbone:
            raise ModelError(
                f"{path}: is none of the published sizes (width {backbone['hidden_size']}, blocks "
                f"{backbone['blocks_per_stage']}): give its config."
            )
    elif beside.is_file():
        sizes = read_config(beside)
    elif config is None:
        raise ModelError(f"{path}: has no config.json beside it: give its config.")
    return with_square(sizes if config is None else merged(sizes, read_config(config)))

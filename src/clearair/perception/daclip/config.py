"""Sizes of a DA-CLIP: derived from its tensors, and overridden by an open_clip model config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from clearair.errors import ModelError

HEAD = 64
"""Entries of an attention head in every published CLIP; it does not follow from the tensors' shapes."""


@dataclass(frozen=True)
class VisionSize:
    """The image tower; its control branch has the same."""

    image: int = 224
    patch: int = 32
    width: int = 768
    layers: int = 12
    heads: int = 12
    hidden: int = 3072
    """Entries inside an MLP."""


@dataclass(frozen=True)
class TextSize:
    """The text tower."""

    vocabulary: int = 49408
    context: int = 77
    width: int = 512
    layers: int = 12
    heads: int = 8
    hidden: int = 2048
    """Entries inside an MLP."""


@dataclass(frozen=True)
class DaClipSize:
    """All of a DA-CLIP. The defaults are those of the published ViT-B/32."""

    vision: VisionSize = VisionSize()
    text: TextSize | None = TextSize()
    """None for a file without the text tower."""
    embedding: int = 512


def size_from(weights: Mapping[str, Tensor], config: Mapping[str, Any] | None) -> DaClipSize:
    """The sizes that the tensors have, under the names of `DaClip`; `config` overrides them.

    Raises ModelError for a config that asks for what DA-CLIP does not have, or heads that nothing tells.
    """
    vision, text, embedding = _vision_size(weights), _text_size(weights), DaClipSize.embedding
    for name in ("visual.proj", "visual_control.proj", "text.text_projection"):
        embedding = _side(weights, name, 1) or embedding
    if config is not None:
        ours, theirs = _part(config, "vision_cfg", _VISION), _part(config, "text_cfg", _TEXT)
        _check_options(config, {"embed_dim", "vision_cfg", "text_cfg", "custom_text", *_HARMLESS}, "")
        embedding = config.get("embed_dim", embedding)
        if type(embedding) is not int or embedding < 1:
            raise ModelError(f"config.embed_dim must be a positive number, got {embedding!r}")
        vision = _vision_overridden(vision, ours)
        text = None if text is None else _text_overridden(text, theirs)
    for tower in (vision, text):
        if tower is not None and (tower.heads < 1 or tower.width % tower.heads):
            raise ModelError(
                f"a tower of width {tower.width} cannot have {tower.heads} heads; a config must say how many"
            )
    return DaClipSize(vision, text, embedding)


def read_config(config: Mapping[str, Any] | Path | str) -> Mapping[str, Any]:
    """An open_clip model config, from a dict or a JSON file, with or without the hub's `model_cfg` around it.

    Raises ModelError when it is none.
    """
    if isinstance(config, (str, Path)):
        path = Path(config).expanduser()
        try:
            values = json.loads(path.read_text())
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise ModelError(f"{path}: not JSON ({error}).") from error
    else:
        path, values = None, config
    if isinstance(values, Mapping):
        values = values.get("model_cfg", values)
    if not isinstance(values, Mapping) or not isinstance(values.get("vision_cfg"), Mapping):
        raise ModelError(f"{path or 'config'}: not an open_clip model config, which has a vision_cfg.")
    return values


_VISION = {"image_size", "patch_size", "width", "layers", "head_width", "mlp_ratio"}
_TEXT = {"vocab_size", "context_length", "width", "layers", "heads", "mlp_ratio"}
_HARMLESS = {"patch_dropout", "output_tokens", "init_logit_scale", "logit_scale"}
"""Options that matter in training only."""
_DEFAULTS = {"pool_type": ("tok", "argmax"), "pos_embed_type": ("learnable",), "pad_id": (0,), "eos_id": (2,)}
"""Options that may be spelled out, with the values that DA-CLIP has."""


def _vision_size(weights: Mapping[str, Tensor]) -> VisionSize:
    found = VisionSize()
    for tower, blocks in (
        ("visual_control", "visual_control.transformer.transformer.resblocks"),
        ("visual", "visual.transformer.resblocks"),
    ):
        width = _side(weights, f"{tower}.class_embedding", 0) or found.width
        patch = _side(weights, f"{tower}.conv1.weight", 2) or found.patch
        positions = _side(weights, f"{tower}.positional_embedding", 0)
        image = round((positions - 1) ** 0.5) * patch if positions else found.image
        hidden = _side(weights, f"{blocks}.0.mlp.c_fc.weight", 0) or found.hidden
        layers = _layers(weights, blocks) or found.layers
        found = VisionSize(image, patch, width, layers, width // HEAD, hidden)
    return found


def _text_size(weights: Mapping[str, Tensor]) -> TextSize | None:
    if not any(name.startswith("text.") for name in weights):
        return None
    default, blocks = TextSize(), "text.transformer.resblocks"
    width = _side(weights, "text.ln_final.weight", 0) or _side(weights, "text.token_embedding.weight", 1)
    width = width or default.width
    return TextSize(
        vocabulary=_side(weights, "text.token_embedding.weight", 0) or default.vocabulary,
        context=_side(weights, "text.positional_embedding", 0) or default.context,
        width=width,
        layers=_layers(weights, blocks) or default.layers,
        heads=width // HEAD,
        hidden=_side(weights, f"{blocks}.0.mlp.c_fc.weight", 0) or default.hidden,
    )


def _side(weights: Mapping[str, Tensor], name: str, axis: int) -> int | None:
    tensor = weights.get(name)
    return tensor.shape[axis] if tensor is not None and tensor.dim() > axis else None


def _layers(weights: Mapping[str, Tensor], blocks: str) -> int:
    indices = [name.removeprefix(f"{blocks}.").split(".")[0] for name in weights if name.startswith(blocks)]
    return max((int(index) + 1 for index in indices if index.isdecimal()), default=0)


def _part(config: Mapping[str, Any], name: str, known: set[str]) -> Mapping[str, Any]:
    part = config.get(name, {})
    if not isinstance(part, Mapping):
        raise ModelError(f"config.{name} must be an object, got {part!r}")
    _check_options(part, known | _HARMLESS, f"{name}.")
    for option in known & set(part):
        kinds = (int, float) if option == "mlp_ratio" else (int,)
        if type(part[option]) not in kinds or part[option] <= 0:
            raise ModelError(f"config.{name}.{option} must be a positive number, got {part[option]!r}")
    return part


def _check_options(options: Mapping[str, Any], known: set[str], where: str) -> None:
    """Options that are off change nothing; one that is on and unknown would be another network."""
    for name, value in options.items():
        if name not in known and value and value not in _DEFAULTS.get(name, ()):
            raise ModelError(f"config.{where}{name} = {value!r} is not something that DA-CLIP has")


def _vision_overridden(size: VisionSize, part: Mapping[str, Any]) -> VisionSize:
    width = part.get("width", size.width)
    return replace(
        size,
        image=part.get("image_size", size.image),
        patch=part.get("patch_size", size.patch),
        width=width,
        layers=part.get("layers", size.layers),
        heads=width // part.get("head_width", HEAD),
        hidden=_hidden(size.hidden, width, part),
    )


def _text_overridden(size: TextSize, part: Mapping[str, Any]) -> TextSize:
    width = part.get("width", size.width)
    return replace(
        size,
        vocabulary=part.get("vocab_size", size.vocabulary),
        context=part.get("context_length", size.context),
        width=width,
        layers=part.get("layers", size.layers),
        heads=part.get("heads", width // HEAD),
        hidden=_hidden(size.hidden, width, part),
    )


def _hidden(found: int, width: int, part: Mapping[str, Any]) -> int:
    return int(width * part["mlp_ratio"]) if "mlp_ratio" in part else found

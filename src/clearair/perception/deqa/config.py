"""Sizes of DeQA-Score, under the names its own `config.json` gives them (architecture `mplug_owl2`).

Sizes missing in that file come from the tensors' shapes, or else from the published defaults.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from clearair.errors import ConfigError

Shapes = Mapping[str, tuple[int, ...]]
"""Name and shape of every tensor of a checkpoint."""
_Part = TypeVar("_Part", "VisionConfig", "AbstractorConfig", "DecoderConfig")


@dataclass(frozen=True)
class VisionConfig:
    """The vision tower, a CLIP ViT-L/14 at full size."""

    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    image_size: int = 448
    patch_size: int = 14
    layer_norm_eps: float = 1e-6


@dataclass(frozen=True)
class AbstractorConfig:
    """The visual abstractor: learned queries that sum the patches up."""

    num_learnable_queries: int = 64
    hidden_size: int = 1024
    encoder_hidden_size: int = 1024
    intermediate_size: int = 2816
    num_hidden_layers: int = 6
    num_attention_heads: int = 16
    grid_size: int = 32
    layer_norm_eps: float = 1e-6
    """Of the norm inside the MLP; the other norms have 1e-5."""


@dataclass(frozen=True)
class DecoderConfig:
    """The language model, LLaMA-2-7B at full size."""

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 32
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0


@dataclass(frozen=True)
class DeqaConfig:
    """All sizes of the model."""

    vision: VisionConfig = field(default_factory=VisionConfig)
    abstractor: AbstractorConfig = field(default_factory=AbstractorConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)

    def __post_init__(self) -> None:
        """Raises ConfigError for sizes that contradict each other."""
        for name, part in (("visual_model", self.vision), ("visual_abstractor", self.abstractor)):
            _check_divides(name, part.hidden_size, part.num_attention_heads)
        _check_divides("the language model", self.decoder.hidden_size, self.decoder.num_attention_heads)
        _check_divides("keys", self.decoder.num_attention_heads, self.decoder.num_key_value_heads)
        if self.decoder.hidden_size // self.decoder.num_attention_heads % 2:
            raise ConfigError("a head of the language model needs an even size, for its rotary positions")
        if self.vision.hidden_size != self.abstractor.hidden_size:
            # One norm serves both what the queries hold and what the tower saw.
            raise ConfigError("visual_model and visual_abstractor differ in hidden_size")
        if self.abstractor.hidden_size != self.abstractor.encoder_hidden_size:
            raise ConfigError("visual_abstractor has an encoder_hidden_size other than its hidden_size")
        if self.vision.image_size // self.vision.patch_size != self.abstractor.grid_size:
            raise ConfigError("visual_abstractor has a grid_size other than that of the patches")


def read_config(values: Mapping[str, Any], shapes: Shapes) -> DeqaConfig:
    """The sizes in the content of a `config.json`, completed from the tensors.

    Raises ConfigError when it is of another architecture, asks for what this one has not, or makes no sense.
    """
    _check_stated("config", values, {"model_type": "mplug_owl2", "hidden_act": "silu"})
    _check_stated("config", values, {"rope_scaling": None, "attention_bias": False})
    visual = _object(values, "visual_config")
    vision, abstractor = _object(visual, "visual_model"), _object(visual, "visual_abstractor")
    _check_stated("visual_model", vision, {"hidden_act": "quick_gelu"})
    language = _known(_decoder_sizes(shapes), values)
    if "num_attention_heads" in language:
        language = _known({"num_key_value_heads": language["num_attention_heads"]}, language)
    return DeqaConfig(
        _part(VisionConfig, _known(_vision_sizes(shapes), vision)),
        _part(AbstractorConfig, _known(_abstractor_sizes(shapes), abstractor)),
        _part(DecoderConfig, language),
    )


def _known(fallback: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """What is stated, and the fallback for what is not, or is null."""
    return {**fallback, **{name: value for name, value in stated.items() if value is not None}}


_TOO_LARGE = 2**31
_MOST_LAYERS = 1000


def _part(kind: type[_Part], values: Mapping[str, Any]) -> _Part:
    chosen = {}
    for entry in fields(kind):
        if entry.name not in values:
            continue
        value, whole = values[entry.name], isinstance(entry.default, int)
        is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not is_number or not 0 < value < _TOO_LARGE:
            raise ConfigError(f"{entry.name} is {value!r}, not a positive number, or too large a one")
        if entry.name == "num_hidden_layers" and value > _MOST_LAYERS:
            raise ConfigError(f"{entry.name} is {value}; no such network has more than {_MOST_LAYERS}")
        chosen[entry.name] = value
    return kind(**chosen)


def _object(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = values.get(name) or {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} is {value!r}, not an object")
    return value


def _check_stated(where: str, values: Mapping[str, Any], supported: Mapping[str, Any]) -> None:
    for name, value in supported.items():
        if values.get(name, value) != value:
            raise ConfigError(f"{name} of {where} is {values[name]!r}; DeQA-Score has {value!r}")


def _check_divides(where: str, size: int, heads: int) -> None:
    if size % heads:
        raise ConfigError(f"{where}: {size} cannot be divided among {heads} heads")


def _vision_sizes(shapes: Shapes) -> dict[str, int]:
    prefix = "model.vision_model."
    sizes = {"num_hidden_layers": _layers(shapes, prefix + "encoder.layers")}
    patch = shapes.get(prefix + "embeddings.patch_embed.weight", ())  # (D, 3, P, P)
    if len(patch) == 4:
        sizes |= {"hidden_size": patch[0], "patch_size": patch[3]}
        positions = shapes.get(prefix + "embeddings.position_embedding", ())  # (1, 1 + grid * grid, D)
        if len(positions) == 3:
            sizes["image_size"] = math.isqrt(max(positions[1] - 1, 0)) * patch[3]
    sizes |= _named(("intermediate_size",), shapes.get(prefix + "encoder.layers.0.mlp.fc1.bias", ()))
    return {name: size for name, size in sizes.items() if size}


def _abstractor_sizes(shapes: Shapes) -> dict[str, int]:
    prefix = "model.visual_abstractor."
    cross = prefix + "encoder.layers.0.crossattention."
    sizes = {"num_hidden_layers": _layers(shapes, prefix + "encoder.layers")}
    sizes |= _named(("", "num_learnable_queries", "hidden_size"), shapes.get(prefix + "query_embeds", ()))
    sizes |= _named(("intermediate_size",), shapes.get(cross + "output.mlp.w1.bias", ()))
    sizes |= _named(("encoder_hidden_size",), shapes.get(cross + "normk.weight", ()))
    keys = shapes.get(cross + "attention.k_pos_embed", ())  # (1 + grid * grid, D)
    if len(keys) == 2:
        sizes["grid_size"] = math.isqrt(max(keys[0] - 1, 0))
    return {name: size for name, size in sizes.items() if name and size}


def _decoder_sizes(shapes: Shapes) -> dict[str, int]:
    sizes = {"num_hidden_layers": _layers(shapes, "model.layers")}
    sizes |= _named(("vocab_size", "hidden_size"), shapes.get("model.embed_tokens.weight", ()))
    sizes |= _named(("intermediate_size",), shapes.get("model.layers.0.mlp.gate_proj.weight", ()))
    return {name: size for name, size in sizes.items() if size}


def _named(names: tuple[str, ...], shape: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(names, shape, strict=False))


def _layers(shapes: Shapes, prefix: str) -> int:
    pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    return max((int(found[1]) + 1 for name in shapes if (found := pattern.match(name))), default=0)

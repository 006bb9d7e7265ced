"""Loads published files: checks everything first, then places tensor by tensor.

The network is built without memory of its own, and each tensor is converted on its way from the file, so
that the peak is the model in its final precision and one tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clearair.errors import ConfigError, ModelError, UsageError
from clearair.perception.deqa.config import DeqaConfig, Shapes, read_config
from clearair.perception.deqa.decoder import frequencies
from clearair.perception.deqa.memory import weight_bytes, working_bytes
from clearair.perception.deqa.network import DeqaNetwork
from clearair.perception.deqa.placement import Placement, place
from clearair.perception.deqa.quantised import quantised_layer, quantised_names
from clearair.perception.deqa.shards import CONFIG, Shards, read_json
from clearair.weights import building, check_shapes, merged

PRECISIONS = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "int8": torch.float16,
    "nf4": torch.float16,
}
"""The type a network computes with."""
_ROTARY = "rotary_emb.inv_freq"
"""A table that files of older libraries carry; it follows from the config."""


def read_sizes(shards: Shards, config: Mapping[str, Any] | Path | str | None = None) -> DeqaConfig:
    """Sizes from the folder's `config.json`, below `config` (the same entries, or a file with them).

    Raises ModelError when there is neither, or when they make no sense.
    """
    path = shards.folder / CONFIG
    stated = read_json(path) if config is None or path.exists() else {}
    if isinstance(config, Path | str):
        path = Path(config).expanduser()
        config = read_json(path)
    try:
        return read_config(merged(stated, config or {}), shards.shapes)
    except ConfigError as error:
        raise ModelError(f"{path}: {error}.") from error


def load_network(
    shards: Shards, sizes: DeqaConfig, *, device: str, precision: str, batch: int
) -> DeqaNetwork:
    """The network with its weights, frozen and ready to look.

    Raises ModelError when tensors and sizes do not fit exactly, or memory for them and a batch is short;
    UsageError for an unknown device or precision.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"There is no precision {precision!r}; use {', '.join(PRECISIONS)}.")
    # Shapes only: nothing is allocated for weights that may not fit.
    with building(shards.folder, "a DeQA-Score"), torch.device("meta"):
        network = DeqaNetwork(sizes).to(PRECISIONS[precision])
    expected: Shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    _check_fit(shards, expected, sizes)
    few_bits = quantised_names(network, precision)
    weights = weight_bytes(expected, precision, few_bits)
    placement = place(network, device, precision, weights, working_bytes(sizes, precision, batch))
    _fill(network, shards, placement, precision, few_bits)
    network.eval().requires_grad_(False)
    placement.finish(network)
    return network


def _check_fit(shards: Shards, expected: Shapes, sizes: DeqaConfig) -> None:
    found = {name: shape for name, shape in shards.shapes.items() if not _is_rotary(name, sizes)}
    if not expected.keys() & found.keys():
        first = min(found, default="none")
        raise ModelError(f"{shards.folder}: not the weights of DeQA-Score; the first tensor is {first}.")
    check_shapes(
        dict(sorted(found.items())), dict(sorted(expected.items())), shards.folder, "this DeQA-Score"
    )


def _is_rotary(name: str, sizes: DeqaConfig) -> bool:
    layers = range(sizes.decoder.num_hidden_layers)
    return name.endswith(_ROTARY) and name in {f"model.layers.{n}.self_attn.{_ROTARY}" for n in layers}


def _fill(
    network: DeqaNetwork, shards: Shards, placement: Placement, precision: str, few_bits: frozenset[str]
) -> None:
    """Put every tensor where it belongs, one at a time."""
    kind = PRECISIONS[precision]
    for name, value in shards.tensors():
        if not value.is_floating_point():
            raise ModelError(f"{shards.folder}: {name} holds {value.dtype}; only floating point can be read.")
        if name.endswith(_ROTARY):
            _check_rotary(name, value, network.config, shards.folder)
            continue
        owner, _, leaf = name.rpartition(".")
        device = placement.device_of(name)
        if name in few_bits:
            half = value.to(torch.float16)  # what is quantised
            _check_finite(name, half, precision, shards.folder)
            network.set_submodule(owner, quantised_layer(half, precision, device))
            continue
        # A copy in any case: a view of the file would fail when the file is replaced.
        placed = torch.empty(value.shape, dtype=kind, device=device).copy_(value)
        _check_finite(name, placed, precision, shards.folder)
        module = network.get_submodule(owner)
        is_buffer = leaf in dict(module.named_buffers(recurse=False))
        setattr(module, leaf, placed if is_buffer else nn.Parameter(placed, requires_grad=False))


def _check_finite(name: str, value: Tensor, precision: str, folder: Path) -> None:
    if not value.isfinite().all():
        raise ModelError(f"{folder}: {name} is not finite in {precision}.")


def _check_rotary(name: str, value: Tensor, config: DeqaConfig, folder: Path) -> None:
    head = config.decoder.hidden_size // config.decoder.num_attention_heads
    ours = frequencies(head, config.decoder.rope_theta, value.device)
    if value.shape != ours.shape or not torch.allclose(value.float(), ours, rtol=1e-2):
        raise ModelError(f"{folder}: {name} is not the table of rope_theta {config.decoder.rope_theta}.")

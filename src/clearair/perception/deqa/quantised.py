"""The language model's linear layers in 8 or 4 bits, through bitsandbytes, which knows GPUs and CPUs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from clearair.errors import ModelError
from clearair.perception.deqa.memory import QUANTISED


def quantised_names(network: nn.Module, precision: str) -> frozenset[str]:
    """Names of the weights that are kept in few bits: none, unless the precision is int8 or nf4."""
    if precision not in QUANTISED:
        return frozenset()
    # The vision part and the last layer are small, and their errors cannot be corrected later.
    return frozenset(
        f"{name}.weight"
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and name.startswith("model.layers.")
    )


def check_can_quantise(precision: str, device: torch.device) -> None:
    """Raises ModelError where bitsandbytes is not installed, or does not know the device."""
    if precision not in QUANTISED:
        return
    if device.type not in ("cuda", "cpu"):
        raise ModelError(f"DeQA-Score in {precision} needs a GPU or a CPU; on {device} take bf16.")
    _bitsandbytes(precision)


def quantised_layer(weight: Tensor, precision: str, device: torch.device) -> nn.Module:
    """A linear layer without bias that holds `weight` (out, in) in int8 or NF4."""
    library, (outputs, inputs) = _bitsandbytes(precision), weight.shape
    half = weight.to("cpu", torch.float16)
    with torch.device("meta"):
        if precision == "int8":
            layer = library.Linear8bitLt(inputs, outputs, bias=False, has_fp16_weights=False)
        else:
            layer = library.Linear4bit(
                inputs, outputs, bias=False, compute_dtype=torch.float16, quant_type="nf4"
            )
    if precision == "int8":
        kept = library.Int8Params(half, requires_grad=False, has_fp16_weights=False)
    else:
        kept = library.Params4bit(half, requires_grad=False, quant_type="nf4", module=layer)
    layer.weight = kept.to(device)  # here the bits are dropped
    found: nn.Module = layer
    return found


def _bitsandbytes(precision: str) -> Any:
    try:
        import bitsandbytes.nn
    except ImportError as error:
        raise ModelError(f"{precision} needs bitsandbytes: pip install 'clearair[deqa-gpu]'.") from error
    return bitsandbytes.nn

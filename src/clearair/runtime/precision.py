"""Chooses the fastest precision of a device."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch

from clearair.errors import UsageError
from clearair.runtime.protocol import Precision

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_precision(asked: str, device: torch.device) -> Precision:
    """The precision for a request; `auto` takes the fastest that the device computes natively.

    Raises UsageError.
    """
    if asked not in get_args(Precision):
        raise UsageError(f"There is no precision {asked!r}; use one of {', '.join(get_args(Precision))}.")
    if asked != "auto":
        return asked  # type: ignore[return-value]
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return learning_precision(device)


def learning_precision(device: torch.device) -> Literal["fp32", "bf16"]:
    """The precision to train and validate in: bfloat16 where the device computes it natively.

    Never float16, whose gradients vanish unless the loss is scaled.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device.type == "cpu" and cpu_computes_bf16()
    return "bf16" if native else "fp32"


def learning_type(device: torch.device) -> torch.dtype:
    """The type of `learning_precision`."""
    return _TYPES[learning_precision(device)]


def learning_in(device: torch.device) -> AbstractContextManager[object]:
    """For a `with` block that is trained or validated in: autocast to `learning_precision`."""
    return computing_in(learning_precision(device), device)


def computing_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """For a `with` block: autocast to a precision that has been chosen."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, _TYPES[precision])


@functools.cache
def cpu_computes_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware; emulated, it is far slower than float32."""
    checks = (
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return any(check is not None and check() for check in checks)

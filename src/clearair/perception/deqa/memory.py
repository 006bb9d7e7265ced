"""Reports the memory needed for loading, and the free memory, before anything is loaded."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection

import torch

from clearair.errors import ModelError
from clearair.memory import free_memory
from clearair.perception.deqa.config import DeqaConfig, Shapes

BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "int8": 1.0, "nf4": 0.5 + 4 / 64}
"""Memory for a weight. NF4 keeps a scale of 4 bytes for each 64 weights."""
QUANTISED = ("int8", "nf4")
_SMALLER = {
    "fp32": "; bf16 needs half of it",
    "bf16": "; nf4 needs about a third of it",
    "fp16": "; nf4 needs about a third of it",
    "int8": "; nf4 needs about two thirds of it",
}
"""At full size; see docs/background/paper-perceivers.md."""


def weight_bytes(shapes: Shapes, precision: str, quantised: Collection[str]) -> int:
    """Memory for all weights; those named `quantised` are in int8 or nf4, and the rest then in 16 bits."""
    rest = BYTES["fp16"] if precision in QUANTISED else BYTES[precision]
    sizes = (
        math.prod(shape) * (BYTES[precision] if name in quantised else rest) for name, shape in shapes.items()
    )
    return int(sum(sizes))


def working_bytes(config: DeqaConfig, precision: str, batch: int) -> int:
    """Memory for a batch: four times the widest activation, that of the vision tower's MLP."""
    tokens = batch * (1 + config.abstractor.grid_size**2)
    return int(4 * tokens * config.vision.intermediate_size * max(BYTES[precision], 2))


def free_bytes(device: torch.device) -> float:
    """Memory that is free on a device; infinite where the system does not say."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    free = free_memory()
    return math.inf if free is None else float(free)


def announce(model: str, weights: int, work: int, free: float, *, precision: str, where: str) -> None:
    """Say on stderr what is needed. Raises ModelError when there is less."""
    need = weights + work
    told = f"{model} needs {_gigabytes(need)} of memory in {precision} on {where}"
    if need > free:
        raise ModelError(f"{told}, but {_gigabytes(free)} are free{_SMALLER.get(precision, '')}.")
    known = f"; {_gigabytes(free)} are free" if math.isfinite(free) else ""
    print(f"{told}{known}.", file=sys.stderr)


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB"

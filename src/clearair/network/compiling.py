"""Compile parts of the network, which fuses the operations between two multiplications."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

from torch import nn

from clearair.errors import UsageError
from clearair.network.blocks import ConvBlock, GatedConvBlock, TransformerBlock
from clearair.network.model import GuidanceModules

PARTS = (ConvBlock, GatedConvBlock, TransformerBlock, GuidanceModules)


def compile_parts(network: nn.Module, backend: str = "inductor", *, any_size: bool = False) -> None:
    """Compile every block and every level's guidance, in place: names stay, and copies are not compiled.

    Parts are compiled separately: many are alike and need only one compilation, and the position of a window,
    which changes from step to step, must not become a constant. With `any_size` they are compiled once for
    all window sizes, else again for each.
    """
    for module in network.modules():
        if isinstance(module, PARTS):
            module.compile(dynamic=any_size, backend=backend)


def require_compiler(device_type: str) -> None:
    """Raise UsageError where nothing can be compiled for a device, which is "cpu" or "cuda"."""
    if device_type == "cuda":
        needed, is_there = "Triton (pip install triton)", find_spec("triton") is not None
    elif device_type == "cpu":
        compiler = os.environ.get("CXX", "g++")
        needed, is_there = f"a C++ compiler ({compiler})", shutil.which(compiler) is not None
    else:
        raise UsageError(f"Networks are not compiled for {device_type}; leave out compile.")
    if not is_there:
        raise UsageError(f"Compiling for {device_type} needs {needed}; leave out compile.")

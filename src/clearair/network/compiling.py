"""Compile parts of the network: what lies between two multiplications then takes one pass over memory."""

from __future__ import annotations

from torch import nn

from clearair.network.blocks import ConvBlock, GatedConvBlock, TransformerBlock
from clearair.network.model import GuidanceModules

PARTS = (ConvBlock, GatedConvBlock, TransformerBlock, GuidanceModules)


def compile_parts(network: nn.Module, backend: str = "inductor") -> None:
    """Compile every block and every level's guidance, in place: names stay, and copies are not compiled.

    Part by part, since many are alike and are then compiled once, and because the place of a window, which
    changes from step to step, must not be compiled into them.
    """
    for module in network.modules():
        if isinstance(module, PARTS):
            module.compile(dynamic=False, backend=backend)

"""The trained part of clearair: the backbone and its guidance. Touches no file.

PyTorch is imported with the network itself, not with its configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clearair.network.config import BASE, COMPACT, TINY, NetworkConfig
from clearair.percepts import Guidance

if TYPE_CHECKING:
    from clearair.network.model import ClearAIR, count_parameters

__all__ = ["BASE", "COMPACT", "TINY", "ClearAIR", "Guidance", "NetworkConfig", "count_parameters"]


def __getattr__(name: str) -> Any:
    if name in ("ClearAIR", "count_parameters"):
        from clearair.network import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

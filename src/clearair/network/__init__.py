"""The trained part of clearair: the backbone and its guidance. Touches no file."""

from clearair.network.config import BASE, COMPACT, TINY, NetworkConfig
from clearair.network.model import ClearAIR, count_parameters
from clearair.percepts import Guidance

__all__ = ["BASE", "COMPACT", "TINY", "ClearAIR", "Guidance", "NetworkConfig", "count_parameters"]

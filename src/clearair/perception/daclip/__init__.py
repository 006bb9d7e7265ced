"""DA-CLIP (Luo et al., ICLR 2024): what an image shows, and which of ten kinds of damage it has."""

from clearair.perception.daclip.loading import load_daclip
from clearair.perception.daclip.perceiver import DaClipDegradation

__all__ = ["DaClipDegradation", "load_daclip"]

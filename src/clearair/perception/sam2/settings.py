"""How masks are generated and chosen; the defaults are those of ClearAIR's authors."""

from __future__ import annotations

from dataclasses import dataclass

from clearair.errors import ConfigError

MOST_REGIONS = 255
"""A label map has one byte a pixel, and 0 is taken."""


@dataclass(frozen=True)
class MaskSettings:
    """The prompt points, and which of the resulting masks are kept."""

    points_per_side: int = 4
    points_per_batch: int = 16
    predicted_iou: float = 0.70
    """A mask is kept if its predicted IoU is above this."""
    stability: float = 0.95
    """Least IoU between the mask at a higher and at a lower logit threshold."""
    stability_offset: float = 1.0
    """How much higher and lower."""
    box_overlap: float = 0.7
    """Of two masks whose boxes overlap more than this (IoU), the better one is kept."""
    regions: int = 16
    """Most masks that are kept, best first."""
    dark: float = 0.2
    """An image whose mean is below this, in [0, 1], is brightened for the segmenter; 0 never brightens. Ours:
    in the dark SAM finds little."""
    brightened: float = 0.3
    """Target mean of brightened images."""

    def __post_init__(self) -> None:
        if self.points_per_side < 1 or self.points_per_batch < 1:
            raise ConfigError(
                f"MaskSettings needs at least one point a side and a batch; got {self.points_per_side} and "
                f"{self.points_per_batch}."
            )
        if not 1 <= self.regions <= MOST_REGIONS:
            raise ConfigError(f"MaskSettings.regions must be in 1..{MOST_REGIONS}, got {self.regions}.")
        if not 0 <= self.dark <= self.brightened < 1:
            raise ConfigError(
                f"MaskSettings needs 0 <= dark <= brightened < 1, got {self.dark} and {self.brightened}."
            )

"""The fast guided filter (He and Sun, 2015): small values made large along the edges of a picture.

Shapes: B pictures, C channels, h x w places, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def guided_filter(
    values: Tensor, small: Tensor, full: Tensor, mean: Callable[[Tensor], Tensor], softness: float
) -> Tensor:
    """Values (B, C, h, w), and their guide there and in full, (B, 1, h, w) and (B, 1, H, W) -> (B, C, H, W).

    The local linear fit of the values to the guide, over the reach of `mean`. Where the guide's variance is
    below `softness` the filter smooths instead of keeping an edge.
    """
    mean_guide, mean_values = mean(small), mean(values)
    covariance = mean(small * values) - mean_guide * mean_values
    variance = mean(small * small) - mean_guide * mean_guide
    slope = covariance / (variance + softness)
    lines = torch.cat([mean(slope), mean(mean_values - slope * mean_guide)], dim=1)
    slope, level = F.interpolate(lines, full.shape[-2:], mode="bilinear").chunk(2, dim=1)
    return slope * full + level

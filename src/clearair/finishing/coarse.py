"""The coarse part of a change, and how much of it is suppressed.

Shapes: B images, C channels, H x W pixels.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from clearair.guided_filter import guided_filter

COARSE = 9
"""Side in pixels of the means that separate the coarse part from detail."""
GUIDED_STEP, GUIDED_REACH = 4, 8
"""Pixels to a place of the guided filter, and places on either side of its means."""
GUIDED_SOFTNESS = 0.0005
"""Variance of the light (0..1) below which the filter smooths instead of keeping an edge."""


def coarse_part(x: Tensor) -> Tensor:
    """(B, C, H, W) after two means over `COARSE` x `COARSE` pixels."""
    return _mean(_mean(x, COARSE // 2), COARSE // 2)


def tonal_part(x: Tensor, picture: Tensor) -> Tensor:
    """The part of x that follows the light of the picture, both (B, C, H, W): a local change of tone.

    It is the local linear fit of x to the picture's mean channel. So it has the picture's edges and draws no
    rims beside them.
    """
    height, width = x.shape[2:]
    size = (-(-height // GUIDED_STEP), -(-width // GUIDED_STEP))
    guide = picture.mean(dim=1, keepdim=True)
    small, light = F.adaptive_avg_pool2d(x, size), F.adaptive_avg_pool2d(guide, size)
    return guided_filter(small, light, guide, lambda values: _mean(values, GUIDED_REACH), GUIDED_SOFTNESS)


def _mean(x: Tensor, reach: int) -> Tensor:
    """The mean over (2 reach + 1)^2 places around each of (B, C, H, W), whose border values are repeated."""
    count = 2 * reach + 1
    for dim, pad in ((3, (reach, reach, 0, 0)), (2, (0, 0, reach, reach))):
        length = x.shape[dim]
        padded = F.pad(x, pad, mode="replicate")
        # Shifted sums take a tenth of the time that average pooling does on a CPU.
        x = sum((padded.narrow(dim, k, length) for k in range(1, count)), padded.narrow(dim, 0, length))
        x = x / count
    return x

"""Scenes that only look damaged: nights as if in low light, pale ones and mists as if hazy.

Shapes: B images, H x W pixels.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

NIGHT = 70
"""Mean value of 255 below which an undamaged photograph shows a dark scene."""
MIST = 0.36
"""Mean dark channel above which an undamaged photograph shows a pale or misty scene: one in ten does."""
PATCH = 15
"""Side in pixels of the dark channel's neighbourhood (He et al., CVPR 2009)."""


def is_dark(pixels: Tensor) -> bool:
    """Whether an undamaged photograph, (3, H, W) uint8, shows a dark scene."""
    return bool(pixels.float().mean() < NIGHT)


def is_pale(pixels: Tensor) -> bool:
    """Whether an undamaged photograph, (3, H, W) uint8, shows a pale or misty scene."""
    return bool(dark_channel(pixels[None].float() / 255).mean() >= MIST)


def dark_channel(images: Tensor) -> Tensor:
    """The darkest value of any colour around each place (He et al., CVPR 2009), (B, 3, H, W) -> (B, 1, h, w).

    Clear scenes have a dark one almost everywhere, hazy and pale ones a light one.
    """
    return -F.max_pool2d(-images.amin(dim=1, keepdim=True), PATCH, stride=PATCH // 2 + 1)

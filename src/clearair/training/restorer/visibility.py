"""How large a difference must be to be seen: the just noticeable difference of every pixel.

Chou & Li, "A perceptually tuned subband image coder based on the measure of just-noticeable-distortion
profile", IEEE Transactions on Circuits and Systems for Video Technology 5 (6), 1995. A difference hides in
the dark and, less, in the bright (luminance adaptation), and where the picture varies (texture masking).

Shapes: B images, H x W pixels. Luma and thresholds are in 8-bit grey levels, 0..255.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.similarity import AROUND, EDGES, luma, luminance_adaptation, texture_masking


def just_noticeable_difference(image: Tensor) -> Tensor:
    """RGB in [0, 1], (B, 3, H, W) -> (B, 1, H, W) thresholds in grey levels, at least 3.

    JND = max(f1(bg, mg), f2(bg)), of the mean background `bg` and the largest of four gradients `mg` in the
    5 x 5 pixels around; beyond the border the picture is replicated. A flat mid grey of 127 has 3, black 20.
    """
    grey = 255 * luma(image)
    background = _background(grey)
    return torch.maximum(texture_masking(background, _gradient(grey)), luminance_adaptation(background))


def visibility(image: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> (B, 1, H, W) weights of squared differences, 1 on the average of each image.

    A squared difference in units of the just noticeable one is it times JND^-2.
    """
    weight = just_noticeable_difference(image).square().reciprocal()
    return weight / weight.mean(dim=(1, 2, 3), keepdim=True)


def _background(luma: Tensor) -> Tensor:
    """(B, 1, H, W) -> the same: weighted mean of the 5 x 5 pixels around each, itself left out."""
    kernel = luma.new_tensor(AROUND)[None, None] / 32
    return F.conv2d(F.pad(luma, (2, 2, 2, 2), mode="replicate"), kernel)


def _gradient(luma: Tensor) -> Tensor:
    """(B, 1, H, W) -> the same: the largest of the gradients in four directions."""
    kernels = luma.new_tensor(EDGES)[:, None] / 16
    gradients = F.conv2d(F.pad(luma, (2, 2, 2, 2), mode="replicate"), kernels)
    return gradients.abs().amax(dim=1, keepdim=True)

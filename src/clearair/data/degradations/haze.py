"""Haze and fog: light lost on the way to the camera, airlight gained."""

from dataclasses import dataclass

import torch
from torch import Tensor

from clearair.data.degradations.depth import estimate_depth
from clearair.data.degradations.draws import normal, per_sample, uniform


@dataclass(frozen=True)
class Haze:
    """Atmospheric scattering, y = t x + (1 - t) a with t = exp(-beta d) (Koschmieder, 1924)."""

    beta: Tensor
    """(B,) scattering over the whole depth range; 0 leaves the image unchanged."""
    airlight: Tensor
    """(B, 3) colour of the haze, in [0, 1]."""
    depth: Tensor
    """(B, 1, H, W) distance, relative: 1 is the farthest point."""

    def __call__(self, clean: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same through haze."""
        transmission = torch.exp(-per_sample(self.beta) * self.depth)
        airlight = self.airlight[:, :, None, None]
        return (airlight + transmission * (clean - airlight)).clamp(0, 1)


def draw_haze(
    clean: Tensor, strength: Tensor, generator: torch.Generator, depth: Tensor | None = None
) -> Haze:
    """Haze for (B, 3, H, W) images, whose depth is estimated unless given as (B, 1, H, W), any unit.

    Statistics follow RESIDE's outdoor training set (Li et al., 2019): airlight 0.7 to 1, nearly grey;
    the farthest point keeps about 70 % of its light at strength 0, and 8 % at strength 1.
    """
    if depth is None:
        depth = estimate_depth(clean, generator)
    else:
        depth = (depth / depth.amax((1, 2, 3), keepdim=True).clamp_min(1e-6)).clamp(0, 1)
    # Even the nearest thing stands behind some air.
    nearest = per_sample(uniform(generator, len(strength), like=strength, high=0.3))
    depth = nearest + (1 - nearest) * depth
    beta = 0.4 + 2.2 * strength * uniform(generator, len(strength), like=strength, low=0.85, high=1.15)
    grey = uniform(generator, len(strength), 1, like=strength, low=0.7, high=1.0)
    warmth = 0.02 * normal(generator, len(strength), 1, like=strength)
    tint = torch.cat([warmth, torch.zeros_like(warmth), -warmth], dim=1)
    return Haze(beta=beta, airlight=(grey + tint).clamp(0, 1), depth=depth)

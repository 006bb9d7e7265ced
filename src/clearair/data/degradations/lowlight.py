"""Too little light: a dark, noisy, slightly discoloured exposure.

Shapes: B images, H x W positions.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from clearair.data.degradations.draws import normal, per_sample, uniform

MEAN_RANGE = (0.25, 0.03)
"""Mean brightness of the dark picture at strength 0 and 1."""


@dataclass(frozen=True)
class Lowlight:
    """A short exposure, y = g x^gamma, and the noise a sensor adds to it.

    The two steps are separate because blur and water on the lens come between light and sensor.
    """

    mean: Tensor
    """(B,) brightness aimed at; an image already darker than that, with gamma 1, is left unchanged."""
    gamma: Tensor
    """(B,) contrast curve; 1 is none, above 1 drowns the shadows."""
    cast: Tensor
    """(B, 3) gain per channel."""
    shot: Tensor
    """(B,) variance of the noise per unit of signal."""
    read: Tensor
    """(B,) standard deviation of the noise in the black."""
    unit: Tensor
    """(B, 3, H, W) noise of mean 0 and variance 1."""

    def __call__(self, clean: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same in the dark, as the sensor records it."""
        return self.record(self.expose(clean))

    def expose(self, clean: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same in the dark, before the sensor."""
        curved = clean.clamp_min(0).pow(per_sample(self.gamma))
        gain = (self.mean / curved.mean((1, 2, 3)).clamp_min(1e-6)).clamp_max(1)
        return (curved * (gain[:, None] * self.cast)[:, :, None, None]).clamp(0, 1)

    def record(self, light: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same with sensor noise, rounded to 8 bits."""
        variance = per_sample(self.shot) * light + per_sample(self.read**2)
        return ((light + variance.sqrt() * self.unit).clamp(0, 1) * 255).round() / 255


def draw_lowlight(strength: Tensor, size: tuple[int, int], generator: torch.Generator) -> Lowlight:
    """A dark exposure for (B,) strengths in [0, 1] and images of (H, W)."""
    batch = len(strength)
    low, high = (math.log(mean) for mean in MEAN_RANGE)
    noise = uniform(generator, batch, like=strength) ** 2 * (0.3 + 0.7 * strength)
    return Lowlight(
        mean=torch.exp(low + (high - low) * strength),
        gamma=uniform(generator, batch, like=strength, low=1.0, high=1.6),
        cast=(1 + 0.05 * normal(generator, batch, 3, like=strength)).clamp(0.8, 1.2),
        shot=0.005 * noise,
        read=0.001 + 0.011 * noise,
        unit=normal(generator, batch, 3, *size, like=strength),
    )

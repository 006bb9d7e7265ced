"""Sensor noise: Gaussian, and Poisson-Gaussian whose variance grows with the light.

Shapes: B images, H x W positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearair.data.degradations.sampling import chance, constant, normal, per_sample, uniform
from clearair.data.degradations.stages import Conditions, Stage, Step

STAGES = (Stage.READOUT,)
SIGMA_RANGE = (1.0, 55.0)
"""Standard deviation at mid-grey, in 1/255, at strength 0 and 1."""
MID_GREY = 0.5


@dataclass(frozen=True)
class Noise:
    """Zero-mean noise of variance sigma^2 (1 - s + s x / 0.5) (Foi et al., 2008), clipped to [0, 1]."""

    sigma: Tensor
    """(B,) standard deviation at mid-grey, in [0, 1] units; 0 leaves the image unchanged."""
    signal_share: Tensor
    """(B,) s in [0, 1]: 0 is Gaussian noise, 1 is purely signal-dependent (shot) noise."""
    unit: Tensor
    """(B, 3, H, W) noise of mean 0 and variance 1."""

    def __call__(self, clean: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same, noisy."""
        share = per_sample(self.signal_share)
        variance = 1 - share + share * clean / MID_GREY
        return (clean + per_sample(self.sigma) * variance.clamp_min(0).sqrt() * self.unit).clamp(0, 1)


def draw(pictures: Tensor, strength: Tensor, conditions: Conditions) -> tuple[Step, ...]:
    """The step of `draw_noise`, as `DamageModule` requires."""
    size = (pictures.shape[-2], pictures.shape[-1])
    return (draw_noise(strength, size, conditions.generator, conditions.sigmas),)


def draw_noise(
    strength: Tensor, size: tuple[int, int], generator: torch.Generator, sigmas: Sequence[float] = ()
) -> Noise:
    """Noise for (B,) strengths in [0, 1] and images of (H, W).

    Six in ten samples are Gaussian, the others Poisson-Gaussian. One in five is partly correlated
    across the channels, as after demosaicking or a conversion from grey. With `sigmas`, in 1/255, all are
    white and Gaussian as in denoising benchmarks, and even strengths are shared out among these deviations.
    """
    if sigmas:
        levels = constant(sorted(sigmas), like=strength)
        place = (strength * len(levels)).long().clamp(0, len(levels) - 1)
        unit = normal(generator, len(strength), 3, *size, like=strength)
        return Noise(sigma=levels[place] / 255, signal_share=torch.zeros_like(strength), unit=unit)
    low, high = SIGMA_RANGE
    share = uniform(generator, len(strength), like=strength) * chance(generator, 0.4, like=strength)
    correlation = uniform(generator, len(strength), like=strength) * chance(generator, 0.2, like=strength)
    unit = normal(generator, len(strength), 3, *size, like=strength)
    rho = per_sample(correlation)
    unit = (1 - rho).sqrt() * unit + rho.sqrt() * normal(generator, len(strength), 1, *size, like=strength)
    return Noise(sigma=(low + (high - low) * strength) / 255, signal_share=share, unit=unit)


def add_gaussian_noise(image: Tensor, sigma255: float | Tensor, generator: torch.Generator) -> Tensor:
    """Additive white Gaussian noise as denoising benchmarks use it: not clipped, not rounded.

    image (B, 3, H, W) or (3, H, W) in [0, 1]; sigma255, a number or (B,), is the standard deviation in
    1/255.
    """
    sigma = torch.as_tensor(sigma255, dtype=image.dtype, device=image.device) / 255
    if sigma.ndim == 1:
        sigma = per_sample(sigma)
    return image + sigma * normal(generator, *image.shape, like=image)

"""Too little light: a dark, noisy, slightly discoloured exposure.

Shapes: B images, H x W positions.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from clearair.data.degradations.sampling import chance, constant, normal, per_sample, uniform
from clearair.data.degradations.stages import Conditions, Stage, Step

STAGES = (Stage.SCENE, Stage.EXPOSURE, Stage.SENSOR)
DUSK = 0.5
"""Share of the pictures whose scene itself is dark, under lit haze, rain or snow, as in all of CDD-11; in the
others the exposure darkens weather and scene together. Without weather both agree."""
MOST = (0.65, 0.35)
"""Share of the light that is left of a picture that is dark anyway, at strength 0 and 1."""
UNEVEN = 0.4
"""Share of the pictures whose light falls off across them."""
MEAN_RANGE = (0.25, 0.03)
"""Mean brightness of the dark picture at strength 0 and 1."""
GAMMA = (1.0, 1.6)
"""Range of the contrast curve where it is not drawn as measured."""
FITTED = 0.5
"""Share of the pictures whose curve and colour are drawn as they were measured on pairs of exposures."""
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
FITTED_GAMMA = (1.175, 1.290, 1.385, 1.533, 1.920)
"""Quantiles, at LEVELS, of the contrast curve over the low-light training pairs (SICE)."""
FITTED_WARMTH = (-0.218, -0.104, -0.045, 0.008, 0.101)
"""Quantiles, at LEVELS, of log red gain minus log blue gain over the same pairs: dark pictures are bluish.
`tools/fit_draws.py lowlight` prints both."""


@dataclass(frozen=True)
class Lowlight:
    """A short exposure, y = g l x^gamma, and the noise a sensor adds to it.

    Light l that falls off across the picture is that of a lamp, or of a lens that shades its corners.
    The two steps are separate because blur and water on the lens come between light and sensor.
    """

    mean: Tensor
    """(B,) brightness aimed at."""
    most: Tensor
    """(B,) gain at most; with 1, a darker image, with gamma 1 and in even light, is left unchanged."""
    gamma: Tensor
    """(B,) contrast curve; 1 is none, above 1 drowns the shadows."""
    light: Tensor
    """(B, 1, H, W) l in [0, 1]: how much of the light there is at each place; 1 where it is even."""
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
        curved = clean.clamp_min(0).pow(per_sample(self.gamma)) * self.light
        gain = (self.mean / curved.mean((1, 2, 3)).clamp_min(1e-6)).minimum(self.most)
        return (curved * (gain[:, None] * self.cast)[:, :, None, None]).clamp(0, 1)

    def record(self, light: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same with sensor noise, rounded to 8 bits."""
        variance = per_sample(self.shot) * light + per_sample(self.read**2)
        return ((light + variance.sqrt() * self.unit).clamp(0, 1) * 255).round() / 255


def draw(pictures: Tensor, strength: Tensor, conditions: Conditions) -> tuple[Step, ...]:
    """Darken before or after the weather, then record; as `DamageModule` requires."""
    size, generator = (pictures.shape[-2], pictures.shape[-1]), conditions.generator
    lowlight = draw_lowlight(strength, size, generator)
    dusk = per_sample(chance(generator, DUSK, like=strength)) > 0  # (B, 1, 1, 1)
    return (
        lambda light: torch.where(dusk, lowlight.expose(light), light),
        lambda light: torch.where(dusk, light, lowlight.expose(light)),
        lowlight.record,
    )


def draw_lowlight(strength: Tensor, size: tuple[int, int], generator: torch.Generator) -> Lowlight:
    """A dark exposure for (B,) strengths in [0, 1] and images of (H, W)."""
    batch = len(strength)
    low, high = (math.log(mean) for mean in MEAN_RANGE)
    noise = uniform(generator, batch, like=strength) ** 2 * (0.3 + 0.7 * strength)
    # Some follow the measurements, the others vary more than the few measured cameras.
    fitted = chance(generator, FITTED, like=strength)
    gamma = uniform(generator, batch, like=strength, low=GAMMA[0], high=GAMMA[1])
    cast = (1 + 0.05 * normal(generator, batch, 3, like=strength)).clamp(0.8, 1.2)
    warmth = _draw_from(FITTED_WARMTH, generator, like=strength)
    warm = torch.stack([0.5 * warmth, torch.zeros_like(warmth), -0.5 * warmth], 1).exp()
    return Lowlight(
        mean=torch.exp(low + (high - low) * strength),
        most=MOST[0] + (MOST[1] - MOST[0]) * strength,
        gamma=torch.where(fitted > 0, _draw_from(FITTED_GAMMA, generator, like=strength), gamma),
        light=_draw_light(size, generator, like=strength),
        cast=torch.where(fitted[:, None] > 0, warm, cast),
        shot=0.005 * noise,
        read=0.001 + 0.011 * noise,
        unit=normal(generator, batch, 3, *size, like=strength),
    )


def _draw_from(quantiles: tuple[float, ...], generator: torch.Generator, *, like: Tensor) -> Tensor:
    """(B,) drawn from a distribution with these quantiles at LEVELS; its outer tenth is left out."""
    values, levels = constant(quantiles, like=like), constant(LEVELS, like=like)
    number = uniform(generator, len(like), like=like, low=LEVELS[0], high=LEVELS[-1])
    above = torch.searchsorted(levels, number.contiguous(), right=True).clamp(1, len(LEVELS) - 1)
    share = (number - levels[above - 1]) / (levels[above] - levels[above - 1])
    return torch.lerp(values[above - 1], values[above], share)


def _draw_light(size: tuple[int, int], generator: torch.Generator, *, like: Tensor) -> Tensor:
    """(B, 1, H, W): a lamp somewhere in or beside the picture, (1 + (d / r)^2)^-1.5, over some even light.

    It is the inverse square and Lambert's cosine law, for a surface below a lamp at height r.
    """
    height, width = size
    centre = uniform(generator, len(like), 2, like=like, low=-0.7, high=0.7)[:, :, None, None, None]
    rows = torch.linspace(-0.5, 0.5, height, device=like.device, dtype=like.dtype)[:, None]
    columns = torch.linspace(-0.5, 0.5, width, device=like.device, dtype=like.dtype)[None, :]
    reach = per_sample(torch.exp(uniform(generator, len(like), like=like, low=math.log(0.4), high=0.2)))
    away = ((rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2) / reach**2  # (B, 1, H, W)
    even = per_sample(uniform(generator, len(like), like=like, low=0.05, high=0.4))
    lamp = even + (1 - even) * (1 + away) ** -1.5
    lamp = lamp / lamp.amax((2, 3), keepdim=True)
    return torch.where(per_sample(chance(generator, UNEVEN, like=like)) > 0, lamp, torch.ones_like(lamp))

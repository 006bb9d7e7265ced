"""Haze and fog: light lost on the way to the camera, airlight gained."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from clearair.data.degradations.depth import estimate_depth, find_sky
from clearair.data.degradations.sampling import chance, normal, per_sample, smooth_field, uniform
from clearair.data.degradations.stages import Conditions, Stage, Step

STAGES = (Stage.AIR,)
BETA = (0.2, 2.3)
"""Scattering over the whole depth range at strength 0 and 1, equally likely in each octave between.
RESIDE's outdoor training set has 0.04 to 0.2 a metre, and scenes of various depth."""
AIRLIGHT = (0.7, 1.0)
"""Brightness of the haze (RESIDE)."""
NEAREST = (0.09, 0.5)
"""Distance of the nearest thing, relative to the farthest; `tools/fit_draws.py depth` measures it."""
CURVE = (0.5, 2.2)
"""Exponent that shifts estimated depth towards near values, as measured there."""
BEYOND = 4.0
"""How far the sky lies behind the farthest thing, at most."""
FOG = 0.4
"""Share of haze that is fog as in photographs, unlike RESIDE: it veils what is near as well, and drifts."""
FOG_BETA, FOG_AIRLIGHT, FOG_NEAREST = (0.2, 2.6), (0.6, 1.0), (0.2, 0.7)
"""The same for fog; even the nearest object is far away, so light is already lost on the way to it."""
DRIFT = 0.6
"""Largest local variation of the thickness of fog."""
EXPOSED = 0.75
"""Share of fog for which the camera reduced the exposure, so that the photograph is hardly lighter than the
scene without fog. `tools/fit_draws.py fog` compares the lightness of photographs and of what is drawn."""
LIGHTER = (1.0, 1.35)
"""How much lighter than its scene such a photograph stays."""
DARKEST = 0.35
"""Mean that no camera goes below for fog, however dark the scene."""
LINEAR = 0.25
"""Share of haze that is mixed in linear light, as in nature; RESIDE mixes the values of the file. Light is
taken for the square of a value: not far from the power 2.2, and much cheaper."""


@dataclass(frozen=True)
class Haze:
    """Atmospheric scattering, y = t x + (1 - t) a with t = exp(-beta d) (Koschmieder, 1924)."""

    beta: Tensor
    """(B,) scattering over the whole depth range; 0 leaves the image unchanged."""
    airlight: Tensor
    """(B, 3) colour of the haze, in [0, 1]."""
    depth: Tensor
    """(B, 1, H, W) distance, relative: 1 is the farthest point but the sky, up to drifts of fog."""
    linear: Tensor | None = None
    """(B,) bool: the law holds for linear light; without it for the values of the file."""
    lighter: Tensor | None = None
    """(B,) how much lighter on average than the scene the picture may be before it is exposed shorter."""

    def __call__(self, clean: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same through haze."""
        transmission = torch.exp(-per_sample(self.beta) * self.depth)
        airlight = self.airlight[:, :, None, None]
        hazy = (airlight + transmission * (clean - airlight)).clamp(0, 1)
        if self.linear is not None:
            light, glow = clean.square(), airlight.square()
            mixed = (glow + transmission * (light - glow)).clamp(0, 1).sqrt()
            hazy = torch.where(per_sample(self.linear), mixed, hazy)
        if self.lighter is None:
            return hazy
        means = [image.mean((1, 2, 3)).clamp_min(1e-3) for image in (clean, hazy)]
        wanted = (self.lighter * means[0]).clamp_min(DARKEST)
        return hazy * per_sample((wanted / means[1]).clamp_max(1))


def draw(pictures: Tensor, strength: Tensor, conditions: Conditions) -> tuple[Step, ...]:
    """The step of `draw_haze`, as `DamageModule` requires."""
    return (draw_haze(pictures, strength, conditions.generator, conditions.depth),)


def draw_haze(
    clean: Tensor, strength: Tensor, generator: torch.Generator, depth: Tensor | None = None
) -> Haze:
    """Haze for (B, 3, H, W) images; depth (B, 1, H, W), any unit, is estimated where absent or 0 all over.

    Statistics follow RESIDE's outdoor training set (Li et al., 2019): nearly grey airlight,
    scattering drawn in octaves; the farthest point keeps 82 % of its light at strength 0, 10 % at strength 1.
    A share of it is `FOG`, chosen beside photographs, by eye.
    """
    like = strength
    fog = chance(generator, FOG, like=like)
    distance = _draw_distance(clean, generator)
    if depth is not None:
        farthest = depth.amax((1, 2, 3), keepdim=True)
        distance = torch.where(farthest > 0, (depth / farthest.clamp_min(1e-6)).clamp(0, 1), distance)
    distance = _drift(distance, fog, generator)
    beyond = per_sample(uniform(generator, len(like), like=like, high=BEYOND))
    low, high = (_of(fog, *pair) for pair in zip(map(math.log, FOG_BETA), map(math.log, BETA), strict=True))
    beta = torch.exp(low + (high - low) * strength + 0.05 * normal(generator, len(like), like=like))
    low, high = (_of(fog, *pair) for pair in zip(FOG_AIRLIGHT, AIRLIGHT, strict=True))
    grey = (low + (high - low) * uniform(generator, len(like), like=like))[:, None]
    # RESIDE's airlight is grey; real haze is a little bluish or yellowish.
    tinted = chance(generator, 0.5, like=like)[:, None]
    warmth = 0.025 * normal(generator, len(like), 1, like=like).clamp(-2.5, 2.5) * tinted
    tint = torch.cat([warmth, torch.zeros_like(warmth), -warmth], dim=1)
    linear = chance(generator, LINEAR, like=like) > 0
    exposed = fog * chance(generator, EXPOSED, like=like) > 0
    lighter = uniform(generator, len(like), like=like, low=LIGHTER[0], high=LIGHTER[1])
    return Haze(
        beta=beta,
        airlight=(grey + tint).clamp(0, 1),
        depth=distance + beyond * find_sky(clean),
        linear=linear,
        lighter=lighter.masked_fill(~exposed, math.inf),
    )


def _of(fog: Tensor, one: float, other: float) -> Tensor:
    """(B,) the first number where there is fog, the second elsewhere."""
    return other + (one - other) * fog


def _drift(distance: Tensor, fog: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 1, H, W) as far as the light's way through fog is thick: also before what is near, and unevenly."""
    size = (distance.shape[-2], distance.shape[-1])
    nearest = per_sample(
        fog * uniform(generator, len(fog), like=fog, low=FOG_NEAREST[0], high=FOG_NEAREST[1])
    )
    amount = per_sample(DRIFT * fog * uniform(generator, len(fog), like=fog))
    uneven = 1 + amount * (2 * smooth_field(generator, size, 2, like=fog) - 1)
    return (nearest + (1 - nearest) * distance) * uneven


def _draw_distance(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Estimated distance (B, 1, H, W), spread as in measured maps: above 0, and 1 is the farthest."""
    depth = estimate_depth(clean, generator)

    def octaves(low: float, high: float) -> Tensor:
        exponent = uniform(generator, len(clean), like=clean, low=math.log(low), high=math.log(high))
        return per_sample(torch.exp(exponent))

    nearest = octaves(*NEAREST)
    return nearest + (1 - nearest) * depth.clamp_min(1e-6).pow(octaves(*CURVE))

"""Pictures that are right but look otherwise: low-key, pale, grey, sepia, or with a soft background.

Nothing here is damage. Whoever learns to name damage must leave such pictures unnamed.

Shapes: B pictures, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clearair.data.degradations.depth import estimate_depth
from clearair.data.degradations.draws import chance, per_sample, smear, uniform

GAIN = (0.8, 1.15)
"""Exposure; low light begins where two thirds of the light are left (lowlight.MOST)."""
GAMMA = (0.75, 2.2)
"""Tone curve; it keeps black and white, so what it makes dark is a dark scene with its lights in place."""
LIGHTS = 0.95
"""How bright the lights of such a scene are at least, and ..."""
MOST_GAIN = 4.0
"""... by how much they may be raised for that."""
BLACK = 0.1
"""How far up the darkest tone may lie, and ..."""
WHITE = 0.85
"""... how far down the brightest."""
SATURATION = (0.4, 1.4)
CAST = 0.07
"""Largest change of a channel by the white balance."""
SEPIA = (1.08, 0.98, 0.78)
"""Gain of the channels of a toned grey picture."""
BOKEH = (2.0, 6.0)
"""Standard deviation in px of a background out of focus: round and even, unlike a shake."""


@dataclass(frozen=True)
class Appearance:
    """y = b + (w - b) g c (s x + (1 - s) grey(x))^gamma; a background beyond the depth of field is smooth."""

    gain: Tensor
    """(B,) g."""
    gamma: Tensor
    """(B,)."""
    black: Tensor
    """(B,) b; 0 is neutral."""
    white: Tensor
    """(B,) w; 1 is neutral."""
    saturation: Tensor
    """(B,) s; 0 is grey, 1 neutral."""
    cast: Tensor
    """(B, 3) c."""
    defocus: Tensor
    """(B,) px of the blur of the background; 0 leaves it sharp."""
    background: Tensor
    """(B, 1, H, W) in [0, 1]."""

    def __call__(self, clean: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same, looking otherwise."""
        weights = clean.new_tensor([0.299, 0.587, 0.114])[:, None, None]
        grey = (clean * weights).sum(1, keepdim=True)
        toned = torch.lerp(grey.expand_as(clean), clean, per_sample(self.saturation)).clamp(0, 1)
        toned = toned.pow(per_sample(self.gamma)) * (per_sample(self.gain) * self.cast[:, :, None, None])
        toned = per_sample(self.black) + per_sample(self.white - self.black) * toned
        soft = self.defocus > 0
        if soft.any():
            radius = round(2.5 * BOKEH[1])
            inside = torch.ones_like(toned[soft, :1])
            # What lies beyond the border counts as nothing, not as black.
            blurred = smear(toned[soft], self.defocus[soft], radius) / smear(
                inside, self.defocus[soft], radius
            )
            toned[soft] = torch.lerp(toned[soft], blurred, self.background[soft])
        return toned.clamp(0, 1)


def draw_appearance(clean: Tensor, generator: torch.Generator, share: float = 0.5) -> Appearance:
    """A look for each of (B, 3, H, W); all but about `share` of them keep their own."""
    like = clean[:, 0, 0, 0]  # (B,)
    changed = chance(generator, share, like=like)

    def draw(low: float, high: float, neutral: float, often: float) -> Tensor:
        value = uniform(generator, len(like), like=like, low=low, high=high)
        return torch.where(changed * chance(generator, often, like=like) > 0, value, neutral)

    grey = draw(0.0, 0.0, 1.0, 0.15)
    sepia = draw(0.0, 1.0, 0.0, 0.4) * (grey == 0)
    cast = 1 + CAST * torch.stack([draw(-1, 1, 0.0, 0.3) for _ in range(3)], dim=1)
    cast = cast * (1 + sepia[:, None] * (like.new_tensor(SEPIA) - 1))
    gamma = (2 ** draw(-0.4, 1.14, 0.0, 0.5)).clamp(*GAMMA)
    lights = torch.where(gamma > 1, (LIGHTS / _highest(clean) ** gamma).clamp(1, MOST_GAIN), 1.0)
    pale = draw(0.0, 1.0, 0.0, 0.25)
    defocus = draw(*BOKEH, neutral=0.0, often=0.12)
    background = torch.zeros_like(clean[:, :1])
    soft = defocus > 0
    if soft.any():
        depth = estimate_depth(clean[soft], generator)
        # The farther half at most: a picture without anything sharp in it would be blurred.
        middle = depth.flatten(1).median(dim=1).values
        background[soft] = ((depth - per_sample(middle)) * 4).clamp(0, 1)
    return Appearance(
        gain=lights * draw(*GAIN, neutral=1.0, often=0.4),
        gamma=gamma,
        black=BLACK * pale * uniform(generator, len(like), like=like),
        white=1 - (1 - WHITE) * pale * uniform(generator, len(like), like=like),
        saturation=grey * draw(*SATURATION, neutral=1.0, often=0.3),
        cast=cast,
        defocus=defocus,
        background=background,
    )


def _highest(image: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B,): what one value in 200 reaches, the lights of the scene."""
    step = max(1, min(image.shape[-2:]) // 64)
    return torch.quantile(image[..., ::step, ::step].flatten(1), 0.995, dim=1).clamp_min(0.05)

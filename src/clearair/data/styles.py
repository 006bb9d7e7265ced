"""Photographic styles that are no damage: low-key, pale, grey, sepia, or with a soft background.

Perceivers learn to find nothing in such pictures, and restorers to leave them as they are.

Shapes: B pictures, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clearair.data.degradations.depth import estimate_depth
from clearair.data.degradations.sampling import (
    as_indices,
    chance,
    constant,
    gaussian_blur,
    on_processor,
    per_sample,
    uniform,
)
from clearair.similarity import luma

GAIN = (0.8, 1.15)
"""Exposure; low light begins where two thirds of the light are left (lowlight.MOST)."""
GAMMA = (0.75, 2.2)
"""Tone curve; it keeps black and white, so it makes a dark scene with bright lights."""
LIGHTS = 0.95
"""How bright the lights of such a scene are at least, and ..."""
MOST_GAIN = 4.0
"""... largest gain for that."""
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
class Style:
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
    soft: Tensor
    """(n,) indices of those whose background is out of focus."""
    defocus: Tensor
    """(n,) px of the blur of their background."""
    background: Tensor
    """(n, 1, H, W) in [0, 1]: where it is."""

    def __call__(self, clean: Tensor) -> Tensor:
        """Return (B, 3, H, W) in [0, 1] in this style."""
        grey = luma(clean)
        toned = torch.lerp(grey.expand_as(clean), clean, per_sample(self.saturation)).clamp(0, 1)
        toned = toned.pow(per_sample(self.gamma)) * (per_sample(self.gain) * self.cast[:, :, None, None])
        toned = per_sample(self.black) + per_sample(self.white - self.black) * toned
        soft = self.soft
        if len(soft):
            radius = round(2.5 * BOKEH[1])
            inside = torch.ones_like(toned[soft, :1])
            # What lies beyond the border counts as nothing, not as black.
            blurred = gaussian_blur(toned[soft], self.defocus, radius)
            blurred = blurred / gaussian_blur(inside, self.defocus, radius)
            toned[soft] = torch.lerp(toned[soft], blurred, self.background)
        return toned.clamp(0, 1)


def draw_style(clean: Tensor, generator: torch.Generator, share: float = 0.5) -> Style:
    """Draw a style for each of (B, 3, H, W); all but about `share` of them keep their own."""
    like = clean[:, 0, 0, 0]  # (B,)
    altered, blurring = torch.rand(2, len(like), generator=on_processor(generator), dtype=torch.float32)
    changed = (altered < share).to(like.dtype).to(like.device, non_blocking=True)

    def draw(low: float, high: float, neutral: float, often: float) -> Tensor:
        value = uniform(generator, len(like), like=like, low=low, high=high)
        return torch.where(changed * chance(generator, often, like=like) > 0, value, neutral)

    grey = draw(0.0, 0.0, 1.0, 0.15)
    sepia = draw(0.0, 1.0, 0.0, 0.4) * (grey == 0)
    cast = 1 + CAST * torch.stack([draw(-1, 1, 0.0, 0.3) for _ in range(3)], dim=1)
    cast = cast * (1 + sepia[:, None] * (constant(SEPIA, like=like) - 1))
    gamma = (2 ** draw(-0.4, 1.14, 0.0, 0.5)).clamp(*GAMMA)
    lights = torch.where(gamma > 1, (LIGHTS / _highest(clean) ** gamma).clamp(1, MOST_GAIN), 1.0)
    pale = draw(0.0, 1.0, 0.0, 0.25)
    soft = as_indices(((altered < share) & (blurring < 0.12)).nonzero()[:, 0], like=like)
    defocus = uniform(generator, len(soft), like=like, low=BOKEH[0], high=BOKEH[1])
    background = clean[soft, :1]
    if len(soft):
        depth = estimate_depth(clean[soft], generator)
        # At most the farther half: a picture without sharp parts would count as blurred.
        middle = depth.flatten(1).median(dim=1).values
        background = ((depth - per_sample(middle)) * 4).clamp(0, 1)
    return Style(
        gain=lights * draw(*GAIN, neutral=1.0, often=0.4),
        gamma=gamma,
        black=BLACK * pale * uniform(generator, len(like), like=like),
        white=1 - (1 - WHITE) * pale * uniform(generator, len(like), like=like),
        saturation=grey * draw(*SATURATION, neutral=1.0, often=0.3),
        cast=cast,
        soft=soft,
        defocus=defocus,
        background=background,
    )


def _highest(image: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B,): what one value in 200 reaches, the lights of the scene."""
    step = max(1, min(image.shape[-2:]) // 64)
    values = image[..., ::step, ::step].flatten(1)
    place = 0.005 * (values.shape[1] - 1)  # from the top; between two values, as a quantile is
    highest = values.topk(int(place) + 2, dim=1).values
    return torch.lerp(highest[:, -2], highest[:, -1], place - int(place)).clamp_min(0.05)

"""Rain: streaks at several distances, and the veil of heavy rain.

Shapes: B images, H x W positions, L layers of streaks from far to near.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations.depth import estimate_depth
from clearair.data.degradations.sampling import (
    chance,
    constant,
    draw_veil,
    feature_scale,
    normal,
    per_sample,
    smooth_field,
    uniform,
)
from clearair.data.degradations.stages import Conditions, Stage, Step

STAGES = (Stage.AIR,)
NEARNESS = (1.0, 0.75, 1.25, 1.25)
"""Width of the streaks of each layer, relative to the first one."""
LAYERS = len(NEARNESS)
WIDTH = (0.6, 1.2)
"""Standard deviation of a streak's brightness across it, in px. Residuals of real pairs lose half of their
correlation over 1.5 to 3 px (`tools/fit_draws.py rain`), a Gaussian over 1.67 times its deviation."""
REACH = 4
"""Pixels to either side beyond which a streak is dark."""
SORTS = (0.25, 0.15, 0.08, 0.36)
"""Share of the rain that is of one kind of streak alone, of dense grain, of fine streaks in bright mist, and
like that of photographs (`FALLING`); the rest has streaks at several distances that are much alike."""


@dataclass(frozen=True)
class Falling:
    """Streaks at one distance, as photographs show them; chosen beside real rain, by eye."""

    length: tuple[float, float]
    """Range in px, when the shutter is slow."""
    widened: tuple[float, float]
    """Range of the width relative to `WIDTH`: what is near is out of focus."""
    share: float
    """Of the picture that is covered by them, at most."""
    brightness: tuple[float, float]
    """Range of the opacity: what moves far while the shutter is open is faint (Garg and Nayar, 2007)."""


FALLING = (
    Falling(length=(6.0, 16.0), widened=(0.7, 0.9), share=0.40, brightness=(0.15, 0.50)),
    Falling(length=(12.0, 32.0), widened=(0.8, 1.3), share=0.25, brightness=(0.30, 0.95)),
    Falling(length=(24.0, 70.0), widened=(1.2, 2.2), share=0.14, brightness=(0.25, 0.75)),
    Falling(length=(40.0, 110.0), widened=(2.5, 5.0), share=0.10, brightness=(0.10, 0.40)),
)
"""From a grain of drizzle to blurred lines before the lens."""
SHUTTER = (0.35, 1.0)
"""Range of the factor of all lengths: a fast one leaves dashes."""
THICKEST = 2.2
"""Scattering of the veil over the whole range of depth, at most."""
LENGTH, ALONE = (6.0, 75.0), (14.0, 90.0)
"""Length of streaks in px, and of those that are alone: long and sharp, as in Rain100L."""
GRAIN = (5.0, 14.0)
"""Length in px of the short streaks of grain: noise that was blurred, as drawing programs make rain."""
TAPS = 13
"""Rows of the upright canvas that a streak covers before it is stretched to its length."""


@dataclass(frozen=True)
class Rain:
    """Streaks in front of a veil: y = v + s (c - k v) with v = (1 - w) x + w a.

    With w = 0 and k = 0 this is the additive model of Rain100L, which has one kind of streak, and Rain100H,
    which has five (Yang et al., 2017); the veil is that of heavy rain, w = 1 - exp(-b d) at distance d (Li,
    Cheong and Tan, 2019). Grain is rain as drawing programs make it, by blurring noise (Fu et al., 2017).
    """

    streaks: Tensor
    """(B, 1, H, W) coverage s in [0, 1]; 0 everywhere, with no veil, leaves the image unchanged."""
    colour: Tensor
    """(B, 3) light c of a streak, in [0, 1]."""
    opacity: Tensor
    """(B,) k: 0 adds the streaks' light, 1 hides what is behind them."""
    veil: Tensor
    """(B, 1, H, W) or (B, 1, 1, 1) w in [0, 1]: how much of the scene the far rain hides."""
    veil_colour: Tensor
    """(B, 3) a, in [0, 1]."""

    def __call__(self, clean: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same in the rain."""
        veil_colour, colour = self.veil_colour[:, :, None, None], self.colour[:, :, None, None]
        veiled = clean + self.veil * (veil_colour - clean)
        return (veiled + self.streaks * (colour - per_sample(self.opacity) * veiled)).clamp(0, 1)


def draw(pictures: Tensor, strength: Tensor, conditions: Conditions) -> tuple[Step, ...]:
    """The step of `draw_rain` at an estimated distance, as `DamageModule` requires."""
    size, generator = (pictures.shape[-2], pictures.shape[-1]), conditions.generator
    return (draw_rain(strength, size, generator, estimate_depth(pictures, generator)),)


def draw_rain(
    strength: Tensor, size: tuple[int, int], generator: torch.Generator, distance: Tensor | None = None
) -> Rain:
    """Rain for (B,) strengths in [0, 1] and images of (H, W): a drizzle at 0, a cloudburst at 1.

    `distance` (B, 1, H, W), from 0 near to 1 far, is what the veil grows with; without it all is far.
    """
    batch = len(strength)
    sort = uniform(generator, batch, like=strength)
    alone, grain, mist, falling = _sorts(sort)
    grey = uniform(generator, batch, 1, like=strength, low=0.75, high=1.0)
    # Streaks of grain are a little bluish.
    tint = 0.05 * uniform(generator, batch, 1, like=strength) * grain[:, None]
    tint = torch.cat([-tint, torch.zeros_like(tint), tint], 1)
    misty = uniform(generator, batch, like=strength) * chance(generator, 0.6, like=strength)
    flat = 0.5 * misty * (strength - 0.3).clamp_min(0) / 0.7 * (1 - alone) * (1 - grain) * (1 - falling)
    opacity = torch.where(alone + grain + mist > 0, 0.3, torch.ones_like(sort))
    opacity = opacity * uniform(generator, batch, like=strength)
    return Rain(
        streaks=_draw_streaks(strength, size, generator, sort),
        colour=(grey + tint).clamp(0, 1),
        opacity=opacity + falling * (1 - opacity) * uniform(generator, batch, like=strength, low=0.4),
        veil=per_sample(flat)
        + per_sample(falling) * draw_veil(THICKEST * strength**1.5, size, generator, distance),
        veil_colour=_draw_veil_colour(strength, generator, falling),
    )


def _draw_veil_colour(strength: Tensor, generator: torch.Generator, falling: Tensor) -> Tensor:
    """(B, 3): grey, and in photographs a little bluish or yellowish."""
    batch = len(strength)
    grey = uniform(generator, batch, 1, like=strength, low=0.5, high=0.85)
    cold = 0.03 * falling[:, None] * uniform(generator, batch, 1, like=strength, low=-0.6, high=1.0)
    return torch.cat([grey - cold, grey, grey + cold], 1)


def _sorts(sort: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(B,) in [0, 1) -> 1 or 0 for one kind of streak alone, for grain, bright mist, and as photographed."""
    upto, chosen = 0.0, []
    for share in SORTS:
        chosen.append(((sort >= upto) & (sort < upto + share)).to(sort))
        upto += share
    alone, grain, mist, falling = chosen
    return alone, grain, mist, falling


def _draw_streaks(
    strength: Tensor, size: tuple[int, int], generator: torch.Generator, sort: Tensor
) -> Tensor:
    """Coverage (B, 1, H, W): L layers of upright streaks, turned to one direction and laid together."""
    alone, grain, mist, falling = _sorts(sort)
    batch, scale = len(strength), feature_scale(size)
    # From specks to long lines: equally likely in each octave of length.
    low, high = (
        torch.where(alone > 0, math.log(one), torch.full_like(alone, math.log(other)))[:, None]
        for one, other in zip(ALONE, LENGTH, strict=True)
    )
    length = torch.exp(low + (high - low) * uniform(generator, batch, LAYERS, like=strength))
    short = uniform(generator, batch, 1, like=strength, low=GRAIN[0], high=GRAIN[1])
    fine = grain + mist
    length = torch.where(fine[:, None] > 0, short, length)
    brightness = uniform(generator, batch, LAYERS, like=strength, low=0.35, high=0.9)
    # Dense layers are faint, and so is rain without other layers, as residuals of real pairs show.
    faint = (1 - 0.7 * grain - 0.85 * mist - 0.5 * alone * uniform(generator, batch, like=strength))[:, None]
    first = constant([1.0, *[0.0] * (LAYERS - 1)], like=strength)
    three = constant([*[1.0] * (LAYERS - 1), 0.0], like=strength)
    brightness = brightness * faint * torch.where((alone + fine)[:, None] > 0, first, three)
    widened = torch.ones_like(length)
    fast, wide, bright = _draw_falling(strength, generator)
    photographed = falling[:, None] > 0
    length = torch.where(photographed, fast, length)
    widened = torch.where(photographed, wide, widened)
    brightness = torch.where(photographed, bright, brightness) * (0.55 + 0.45 * strength[:, None])
    diagonal = math.ceil(math.hypot(size[0] / scale, size[1] / scale)) + 2
    canvas = (math.ceil(0.75 * diagonal), diagonal)
    upright = _draw_upright(strength, length, canvas, generator, alone, fine, falling)
    angle = 0.3 * normal(generator, batch, like=strength).clamp(-2.5, 2.5)
    # Now and then layers cross, as the streaks of Rain100H do; in photographs they do not.
    spread = 0.03 + 0.25 * chance(generator, 0.25, like=strength) * (1 - falling)
    coverage = torch.zeros(batch, 1, *size, device=strength.device, dtype=strength.dtype)
    for layer in range(LAYERS):
        tilt = angle + spread * normal(generator, batch, like=strength)
        grid = _turned_grid(tilt, length[:, layer] / TAPS, widened[:, layer], size, scale, canvas)
        streaks = upright[:, layer : layer + 1]
        turned = F.grid_sample(streaks, grid, padding_mode="reflection", align_corners=False)
        coverage = coverage + per_sample(brightness[:, layer]) * turned
    # Mist is brighter on one side; streaks are visible where it is bright.
    lit = (1.6 * smooth_field(generator, size, 1, like=strength) - 0.2).clamp(0, 1)
    glow = per_sample(mist * (0.04 + 0.46 * strength))
    coverage = coverage * torch.lerp(torch.ones_like(lit), lit, per_sample(mist + 0.5 * falling))
    return (coverage + glow * lit).clamp(0, 1)


def _draw_falling(strength: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Length, width and brightness (B, L) of the streaks of each layer, as photographs show them."""
    batch = len(strength)

    def draw(ranges: list[tuple[float, float]]) -> Tensor:
        ends = constant(ranges, like=strength)
        return ends[:, 0] + (ends[:, 1] - ends[:, 0]) * uniform(generator, batch, LAYERS, like=strength)

    low, high = (math.log(end) for end in SHUTTER)
    shutter = torch.exp(low + (high - low) * uniform(generator, batch, 1, like=strength))
    # Rain is often visible at one or two distances only, but never at none.
    seen = (uniform(generator, batch, LAYERS, like=strength) - 0.2).clamp_min(0).mul(2.5).clamp_max(1)
    seen = seen.maximum(constant([0.0, 0.6, *[0.0] * (LAYERS - 2)], like=strength))
    return (
        draw([each.length for each in FALLING]) * shutter,
        1 + (draw([each.widened for each in FALLING]) - 1) * shutter,  # else dashes would be flakes
        # Streaks that move less while the shutter is open are less faint.
        (draw([each.brightness for each in FALLING]) * seen * shutter**-0.3).clamp_max(1),
    )


def _draw_upright(
    strength: Tensor,
    length: Tensor,
    canvas: tuple[int, int],
    generator: torch.Generator,
    alone: Tensor,
    fine: Tensor,
    falling: Tensor,
) -> Tensor:
    """Layers (B, L, h, w) of upright streaks, TAPS rows high, to be stretched to `length` (B, L) px."""
    batch = len(strength)
    nearness = constant(NEARNESS, like=strength)
    # The share of the canvas that streaks cover grows with the strength, whatever their length.
    share = (0.01 + 0.15 * strength[:, None]) * uniform(generator, batch, LAYERS, like=strength, low=0.2)
    density = share / nearness / TAPS * (length / TAPS / 2).clamp(0.5, 1.5)
    density = density * (1 + 0.6 * alone[:, None])
    density = torch.where(fine[:, None] > 0, 0.02 + 0.02 * strength[:, None], density)
    most = constant([each.share for each in FALLING], like=strength)
    dense = uniform(generator, batch, LAYERS, like=strength, low=0.2)
    dense = most * (0.03 + 0.97 * strength[:, None]) * dense
    density = torch.where(falling[:, None] > 0, dense / TAPS, density)[..., None, None]
    number = uniform(generator, batch, LAYERS, *canvas, like=strength)
    impulses = (number < density) * (0.3 + 0.7 * number / density)
    # Short streaks are far away, hence thin.
    thin = 0.5 + 0.5 * (length / 25).clamp_max(1)
    widths = uniform(generator, batch, LAYERS, like=strength, low=WIDTH[0], high=WIDTH[1]) * nearness * thin
    widths = torch.where(fine[:, None] > 0, 0.9 + 0.3 * (widths - WIDTH[0]), widths)
    widths = torch.where(falling[:, None] > 0, 0.85, widths)  # those are widened afterwards
    return _smear(impulses.reshape(1, -1, *canvas), widths.flatten()).reshape(impulses.shape)


def _smear(impulses: Tensor, widths: Tensor) -> Tensor:
    """(1, N, h, w), (N,) -> the same with every point drawn out to an upright streak of that width."""
    count = impulses.shape[1]
    profile = torch.hann_window(TAPS + 2, False, dtype=widths.dtype, device=widths.device)[1:-1].sqrt()
    fall = profile.expand(count, TAPS)[:, None, :, None]
    across = torch.arange(-REACH, REACH + 1, device=widths.device)
    thickness = torch.exp(-0.5 * (across / widths[:, None]) ** 2)[:, None, None, :]
    falling = F.conv2d(impulses, fall, padding=(TAPS // 2, 0), groups=count)
    return F.conv2d(falling, thickness, padding=(0, REACH), groups=count)


def _turned_grid(
    angle: Tensor,
    stretch: Tensor,
    widened: Tensor,
    size: tuple[int, int],
    scale: float,
    canvas: tuple[int, int],
) -> Tensor:
    """Where (B, H, W, 2) each pixel looks on the upright canvas, for streaks `angle` off the vertical."""
    height, width = size
    cos, sin = torch.cos(angle), torch.sin(angle)
    zero = torch.zeros_like(angle)
    across = torch.stack([cos * width, -sin * height, zero], 1) / (scale * canvas[1] * widened[:, None])
    along = torch.stack([sin * width, cos * height, zero], 1) / (scale * canvas[0] * stretch[:, None])
    return F.affine_grid(torch.stack([across, along], 1), [len(angle), 1, *size], align_corners=False)

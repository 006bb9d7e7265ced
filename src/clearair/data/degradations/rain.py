"""Rain: streaks at several distances, and the veil they melt into when it pours.

Shapes: B images, H x W positions, L layers of streaks.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations.draws import (
    chance,
    constant,
    feature_scale,
    normal,
    per_sample,
    smooth_field,
    uniform,
)

NEARNESS = (1.0, 0.75, 1.25)
"""Width of the streaks of each layer, relative to the first one."""
LAYERS = len(NEARNESS)
WIDTH = (0.6, 1.2)
"""Standard deviation of a streak's brightness across it, in px. Residuals of real pairs lose half of their
correlation over 1.5 to 3 px (`benchmarks/fit_draws.py rain`), a Gaussian over 1.67 times its deviation."""
REACH = 4
"""Pixels to either side beyond which a streak is dark."""
SORTS = (0.35, 0.2, 0.1)
"""Share of the rain that is of one kind of streak alone, of dense grain, and of fine streaks in bright mist;
the rest has streaks at several distances."""
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
    which has five (Yang et al., 2017); the veil is that of heavy rain (Li, Cheong and Tan, 2019). Grain is
    rain as drawing programs make it, by blurring noise (Fu et al., 2017).
    """

    streaks: Tensor
    """(B, 1, H, W) coverage s in [0, 1]; 0 everywhere, with no veil, leaves the image unchanged."""
    colour: Tensor
    """(B, 3) light c of a streak, in [0, 1]."""
    opacity: Tensor
    """(B,) k: 0 adds the streaks' light, 1 hides what is behind them."""
    veil: Tensor
    """(B,) w in [0, 1]: how much of the scene the far rain hides."""
    veil_colour: Tensor
    """(B, 3) a, in [0, 1]."""

    def __call__(self, clean: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same in the rain."""
        veil_colour, colour = self.veil_colour[:, :, None, None], self.colour[:, :, None, None]
        veiled = clean + per_sample(self.veil) * (veil_colour - clean)
        return (veiled + self.streaks * (colour - per_sample(self.opacity) * veiled)).clamp(0, 1)


def draw_rain(strength: Tensor, size: tuple[int, int], generator: torch.Generator) -> Rain:
    """Rain for (B,) strengths in [0, 1] and images of (H, W): a drizzle at 0, a cloudburst at 1."""
    batch = len(strength)
    sort = uniform(generator, batch, like=strength)
    alone, grain, mist = _sorts(sort)
    grey = uniform(generator, batch, 1, like=strength, low=0.75, high=1.0)
    # Streaks of grain are a little bluish.
    tint = 0.05 * uniform(generator, batch, 1, like=strength) * grain[:, None]
    tint = torch.cat([-tint, torch.zeros_like(tint), tint], 1)
    misty = uniform(generator, batch, like=strength) * chance(generator, 0.6, like=strength)
    veil_grey = uniform(generator, batch, 1, like=strength, low=0.5, high=0.85)
    return Rain(
        streaks=_draw_streaks(strength, size, generator, sort),
        colour=(grey + tint).clamp(0, 1),
        opacity=uniform(generator, batch, like=strength) * torch.where(alone + grain + mist > 0, 0.3, 1.0),
        veil=0.5 * misty * (strength - 0.3).clamp_min(0) / 0.7 * (1 - alone) * (1 - grain),
        veil_colour=veil_grey.expand(batch, 3),
    )


def _sorts(sort: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B,) in [0, 1) -> 1 or 0 for one kind of streak alone, for grain, for bright mist."""
    first, second, third = SORTS
    alone, upto = sort < first, sort < first + second
    mist = ~upto & (sort < first + second + third)
    return alone.to(sort), (upto & ~alone).to(sort), mist.to(sort)


def _draw_streaks(
    strength: Tensor, size: tuple[int, int], generator: torch.Generator, sort: Tensor
) -> Tensor:
    """Coverage (B, 1, H, W): L layers of upright streaks, turned to one direction and laid together."""
    alone, grain, mist = _sorts(sort)
    batch, scale = len(strength), feature_scale(size)
    # From specks to long lines: equally likely in each octave of length.
    low, high = (
        torch.where(alone > 0, math.log(one), math.log(other))[:, None]
        for one, other in zip(ALONE, LENGTH, strict=True)
    )
    length = torch.exp(low + (high - low) * uniform(generator, batch, LAYERS, like=strength))
    short = uniform(generator, batch, 1, like=strength, low=GRAIN[0], high=GRAIN[1])
    fine = grain + mist
    length = torch.where(fine[:, None] > 0, short, length)
    diagonal = math.ceil(math.hypot(size[0] / scale, size[1] / scale)) + 2
    canvas = (math.ceil(0.75 * diagonal), diagonal)
    upright = _draw_upright(strength, length, canvas, generator, alone, fine)
    brightness = uniform(generator, batch, LAYERS, like=strength, low=0.35, high=0.9)
    brightness = brightness * (0.55 + 0.45 * strength[:, None])
    # What is dense is faint, and so is rain that is alone: residuals of real pairs say so.
    faint = (1 - 0.7 * grain - 0.85 * mist - 0.5 * alone * uniform(generator, batch, like=strength))[:, None]
    first = constant([1.0, *[0.0] * (LAYERS - 1)], like=strength)
    brightness = brightness * faint * torch.where((alone + fine)[:, None] > 0, first, torch.ones_like(first))
    angle = 0.3 * normal(generator, batch, like=strength).clamp(-2.5, 2.5)
    # Now and then layers cross, as the streaks of Rain100H do.
    spread = 0.03 + 0.25 * chance(generator, 0.25, like=strength)
    coverage = torch.zeros(batch, 1, *size, device=strength.device, dtype=strength.dtype)
    for layer in range(LAYERS):
        tilt = angle + spread * normal(generator, batch, like=strength)
        grid = _turned_grid(tilt, length[:, layer] / TAPS, size, scale, canvas)
        streaks = upright[:, layer : layer + 1]
        turned = F.grid_sample(streaks, grid, padding_mode="reflection", align_corners=False)
        coverage = coverage + per_sample(brightness[:, layer]) * turned
    # Mist is brighter on one side; what falls in it is seen where it is.
    bright = (1.6 * smooth_field(generator, size, 1, like=strength) - 0.2).clamp(0, 1)
    glow = per_sample(mist * (0.1 + 0.4 * strength))
    coverage = coverage * torch.lerp(torch.ones_like(bright), bright, per_sample(mist)) + glow * bright
    return coverage.clamp(0, 1)


def _draw_upright(
    strength: Tensor,
    length: Tensor,
    canvas: tuple[int, int],
    generator: torch.Generator,
    alone: Tensor,
    fine: Tensor,
) -> Tensor:
    """Layers (B, L, h, w) of upright streaks, TAPS rows high, to be stretched to `length` (B, L) px."""
    batch = len(strength)
    nearness = constant(NEARNESS, like=strength)
    # The share of the canvas that streaks cover grows with the strength, whatever their length.
    share = (0.01 + 0.15 * strength[:, None]) * uniform(generator, batch, LAYERS, like=strength, low=0.2)
    density = share / nearness / TAPS * (length / TAPS / 2).clamp(0.5, 1.5)
    density = density * (1 + 0.6 * alone[:, None])
    density = torch.where(fine[:, None] > 0, 0.02 + 0.02 * strength[:, None], density)[..., None, None]
    number = uniform(generator, batch, LAYERS, *canvas, like=strength)
    impulses = (number < density) * (0.3 + 0.7 * number / density)
    # Short streaks are far away, hence thin.
    thin = 0.5 + 0.5 * (length / 25).clamp_max(1)
    widths = uniform(generator, batch, LAYERS, like=strength, low=WIDTH[0], high=WIDTH[1]) * nearness * thin
    widths = torch.where(fine[:, None] > 0, 0.9 + 0.3 * (widths - WIDTH[0]), widths)
    return _smear(impulses.reshape(1, -1, *canvas), widths.flatten()).reshape(impulses.shape)


def _smear(impulses: Tensor, widths: Tensor) -> Tensor:
    """(1, N, h, w), (N,) -> the same with every point drawn out to an upright streak of that width."""
    count = impulses.shape[1]
    profile = torch.hann_window(TAPS + 2, periodic=False, device=widths.device)[1:-1].sqrt()
    fall = profile.to(widths).expand(count, TAPS)[:, None, :, None]
    across = torch.arange(-REACH, REACH + 1, device=widths.device)
    thickness = torch.exp(-0.5 * (across / widths[:, None]) ** 2)[:, None, None, :]
    falling = F.conv2d(impulses, fall, padding=(TAPS // 2, 0), groups=count)
    return F.conv2d(falling, thickness, padding=(0, REACH), groups=count)


def _turned_grid(
    angle: Tensor, stretch: Tensor, size: tuple[int, int], scale: float, canvas: tuple[int, int]
) -> Tensor:
    """Where (B, H, W, 2) each pixel looks on the upright canvas, for streaks `angle` off the vertical."""
    height, width = size
    cos, sin = torch.cos(angle), torch.sin(angle)
    zero = torch.zeros_like(angle)
    across = torch.stack([cos * width, -sin * height, zero], 1) / (scale * canvas[1])
    along = torch.stack([sin * width, cos * height, zero], 1) / (scale * canvas[0] * stretch[:, None])
    return F.affine_grid(torch.stack([across, along], 1), [len(angle), 1, *size], align_corners=False)

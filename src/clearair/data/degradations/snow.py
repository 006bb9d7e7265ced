"""Snow: flakes of many sizes between camera and scene, the near ones large, soft and see-through.

Shapes: B images, H x W positions, S shapes of flakes in an octave of size.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations.depth import estimate_depth
from clearair.data.degradations.sampling import chance, draw_veil, feature_scale, per_sample, uniform
from clearair.data.degradations.stages import Conditions, Stage, Step

STAGES = (Stage.AIR,)
SHAPES = 3
FALLING = 0.6
"""Share of the snow that is like that of photographs: denser, fainter, softer, in motion and behind a veil.
The rest is specks as of Snow100K. The ranges below were chosen beside real snow, by eye."""
DENSER = (4.0, 2.5, 1.2, 1.5)
"""How many times more flakes of each octave there are in photographs, at most."""
FAINT = (0.35, 1.0)
"""Range of the factor of their opacity."""
SOFT, HARD = (1.4, 3.0), 4.0
"""Range of the exponent of a flake's fall to the side where it is out of focus; that of a speck."""
MOTION = 6.0
"""How far flakes move while the shutter is open, at most, in px of each octave: near ones are faster."""
THICKEST = 1.5
"""Scattering of the veil over the whole range of depth, at most."""


@dataclass(frozen=True)
class Octave:
    """Flakes of one size: each octave is drawn at half the resolution of the one before."""

    side: int
    """Odd side of a flake's patch, in the octave's own pixels."""
    radius: tuple[float, float]
    """Range of the flakes' radius, in the octave's own pixels."""
    density: float
    """Centres per pixel of the octave, at most."""
    opacity: float
    """Of the brightest flake; what is near the lens is out of focus and see-through."""


OCTAVES = (
    Octave(side=5, radius=(0.45, 1.1), density=0.04, opacity=1.0),
    Octave(side=7, radius=(0.8, 1.6), density=0.02, opacity=0.95),
    Octave(side=9, radius=(0.9, 2.2), density=0.01, opacity=0.8),
    Octave(side=11, radius=(1.2, 2.8), density=0.003, opacity=0.5),
)
"""From powder to flakes close to the lens."""


@dataclass(frozen=True)
class Snow:
    """Flakes in front of a veil: y = v + m (c - v) with v = (1 - w) x + w c (Liu et al., 2018).

    The veil is of flakes too far to be seen: w = 1 - exp(-b d) at distance d, as that of rain.
    """

    flakes: Tensor
    """(B, 1, H, W) opacity m in [0, 1]; 0 everywhere, with no veil, leaves the image unchanged."""
    colour: Tensor
    """(B, 3) of the flakes and the veil, in [0, 1]."""
    veil: Tensor
    """(B, 1, H, W) or (B, 1, 1, 1) w in [0, 1]."""

    def __call__(self, clean: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same in falling snow."""
        colour = self.colour[:, :, None, None]
        veiled = clean + self.veil * (colour - clean)
        return (veiled + self.flakes * (colour - veiled)).clamp(0, 1)


def draw(pictures: Tensor, strength: Tensor, conditions: Conditions) -> tuple[Step, ...]:
    """The step of `draw_snow` at an estimated distance, as `DamageModule` requires."""
    size, generator = (pictures.shape[-2], pictures.shape[-1]), conditions.generator
    return (draw_snow(strength, size, generator, estimate_depth(pictures, generator)),)


def draw_snow(
    strength: Tensor, size: tuple[int, int], generator: torch.Generator, distance: Tensor | None = None
) -> Snow:
    """Snow for (B,) strengths in [0, 1] and images of (H, W).

    `distance` (B, 1, H, W), from 0 near to 1 far, is what the veil grows with; without it all is far.
    """
    batch, scale = len(strength), feature_scale(size)
    falling = chance(generator, FALLING, like=strength)
    bend = uniform(generator, batch, like=strength, low=-0.8, high=0.8) * (1 + 0.4 * falling)
    motion = uniform(generator, batch, like=strength, high=1.0) ** 2
    path = falling * MOTION * uniform(generator, batch, like=strength) * chance(generator, 0.7, like=strength)
    clear = torch.ones(batch, 1, *size, device=strength.device, dtype=strength.dtype)
    for number, octave in enumerate(OCTAVES):
        shrink = scale * 2**number
        cells = (math.ceil(size[0] / shrink) + 1, math.ceil(size[1] / shrink) + 1)
        layer = _draw_flakes(octave, DENSER[number], strength, cells, bend, motion, falling, generator)
        layer = _in_motion(layer, path, bend)
        window = F.interpolate(
            layer, (round(cells[0] * shrink), round(cells[1] * shrink)), mode="bilinear", align_corners=False
        )
        clear = clear * (1 - window[..., : size[0], : size[1]])
    grey = uniform(generator, batch, 1, like=strength, low=0.85, high=1.0) - 0.1 * falling[:, None]
    cold = 0.03 * falling[:, None] * uniform(generator, batch, 1, like=strength, low=-0.3, high=1.0)
    grey = grey + 0.1 * falling[:, None] * uniform(generator, batch, 1, like=strength)
    flat = per_sample(0.15 * strength * uniform(generator, batch, like=strength) * (1 - falling))
    veil = draw_veil(THICKEST * strength**1.5 * falling, size, generator, distance)
    colour = torch.cat([grey - cold, grey, grey + cold], 1).clamp(0, 1)
    return Snow(flakes=1 - clear, colour=colour, veil=flat + veil)


def _draw_flakes(
    octave: Octave,
    denser: float,
    strength: Tensor,
    cells: tuple[int, int],
    bend: Tensor,
    motion: Tensor,
    falling: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Opacity (B, 1, h, w) of one octave of flakes, at that octave's own resolution."""
    batch = len(strength)
    drawn = uniform(generator, batch, like=strength, low=0.1, high=1.0) * (1 + (denser - 1) * falling)
    density = per_sample(octave.density * drawn * (0.1 + 0.9 * strength) / SHAPES)
    number = uniform(generator, batch, SHAPES, *cells, like=strength)
    impulses = (number < density) * (octave.opacity * (0.25 + 0.75 * number / density))
    faint = uniform(generator, batch, like=strength, low=FAINT[0], high=FAINT[1])
    impulses = impulses * per_sample(1 + (faint - 1) * falling)
    kernels = _draw_shapes(octave, bend, motion, falling, generator)
    # Each shape by itself and then their sum: several times faster on a CPU than a group of three.
    layer = F.conv2d(
        impulses.reshape(1, -1, *cells),
        kernels.reshape(-1, 1, octave.side, octave.side),
        padding=octave.side // 2,
        groups=batch * SHAPES,
    )
    return layer.reshape(batch, SHAPES, *cells).sum(1, keepdim=True).clamp(0, 1)


def _in_motion(layer: Tensor, path: Tensor, bend: Tensor) -> Tensor:
    """Blur (B, 1, h, w) by (B,) px along the direction of fall, and make up for part of the light it takes.

    In frequencies, where a path of any direction is one factor; that of a Gaussian does not ring.
    """
    height, width = layer.shape[-2:]
    down = torch.fft.fftfreq(height, dtype=layer.dtype, device=layer.device)[:, None]
    right = torch.fft.rfftfreq(width, dtype=layer.dtype, device=layer.device)
    along = per_sample(bend.cos()) * down + per_sample(bend.sin()) * right
    factor = torch.exp(-(math.pi**2 / 6) * (per_sample(path) * along).square())  # deviation: path / sqrt(12)
    moved: Tensor = torch.fft.irfft2(torch.fft.rfft2(layer) * factor, s=(height, width))
    return (moved * per_sample((1 + path / 2).sqrt())).clamp(0, 1)


def _draw_shapes(
    octave: Octave, bend: Tensor, motion: Tensor, falling: Tensor, generator: torch.Generator
) -> Tensor:
    """(B, S, side, side): irregular blobs, drawn out along each sample's direction of fall."""
    batch = len(bend)
    axis = torch.arange(octave.side, device=bend.device, dtype=bend.dtype) - octave.side // 2

    def draw(low: float, high: float) -> Tensor:
        return uniform(generator, batch, SHAPES, 1, 1, like=bend, low=low, high=high)

    # Centres between pixels, so that flakes do not sit on a grid.
    down, right = axis[:, None] + draw(-0.5, 0.5), axis[None, :] + draw(-0.5, 0.5)
    cos, sin = per_sample(torch.cos(bend)), per_sample(torch.sin(bend))
    along, across = cos * down + sin * right, cos * right - sin * down
    angle = torch.atan2(across, along)
    outline = torch.ones_like(angle)
    for lobes, amount in ((2, 0.3), (3, 0.25), (5, 0.15)):
        outline = outline + amount * draw(0, 1) * torch.cos(lobes * angle + draw(0, 2 * math.pi))
    longer = 1 + per_sample(motion) * draw(0.3, 1.2)
    distance = torch.sqrt((along / longer) ** 2 + across**2) / (draw(*octave.radius) * outline)
    soft = per_sample(uniform(generator, batch, like=bend, low=SOFT[0], high=SOFT[1]))
    hardness = HARD + (soft - HARD) * per_sample(falling)
    return torch.exp(-(distance.clamp_min(1e-4) ** hardness))

"""Snow: flakes of many sizes between camera and scene, the near ones large, soft and see-through.

Shapes: B images, H x W positions, S shapes of flakes in an octave of size.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations.draws import feature_scale, per_sample, uniform

SHAPES = 3


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
    """Flakes in front of a veil: y = v + m (c - v) with v = (1 - w) x + w c (Liu et al., 2018)."""

    flakes: Tensor
    """(B, 1, H, W) opacity m in [0, 1]; 0 everywhere, with no veil, leaves the image unchanged."""
    colour: Tensor
    """(B, 3) of the flakes and the veil, in [0, 1]."""
    veil: Tensor
    """(B,) w in [0, 1]."""

    def __call__(self, clean: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same in falling snow."""
        colour = self.colour[:, :, None, None]
        veiled = clean + per_sample(self.veil) * (colour - clean)
        return (veiled + self.flakes * (colour - veiled)).clamp(0, 1)


def draw_snow(strength: Tensor, size: tuple[int, int], generator: torch.Generator) -> Snow:
    """Snow for (B,) strengths in [0, 1] and images of (H, W)."""
    batch, scale = len(strength), feature_scale(size)
    bend = uniform(generator, batch, like=strength, low=-0.8, high=0.8)
    motion = uniform(generator, batch, like=strength, high=1.0) ** 2
    clear = torch.ones(batch, 1, *size, device=strength.device, dtype=strength.dtype)
    for number, octave in enumerate(OCTAVES):
        shrink = scale * 2**number
        cells = (math.ceil(size[0] / shrink) + 1, math.ceil(size[1] / shrink) + 1)
        layer = _draw_flakes(octave, strength, cells, bend, motion, generator)
        window = F.interpolate(
            layer, (round(cells[0] * shrink), round(cells[1] * shrink)), mode="bilinear", align_corners=False
        )
        clear = clear * (1 - window[..., : size[0], : size[1]])
    grey = uniform(generator, batch, 1, like=strength, low=0.85, high=1.0)
    veil = 0.15 * strength * uniform(generator, batch, like=strength)
    return Snow(flakes=1 - clear, colour=grey.expand(batch, 3), veil=veil)


def _draw_flakes(
    octave: Octave,
    strength: Tensor,
    cells: tuple[int, int],
    bend: Tensor,
    motion: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Opacity (B, 1, h, w) of one octave of flakes, at that octave's own resolution."""
    batch = len(strength)
    wish = uniform(generator, batch, like=strength, low=0.1, high=1.0)
    density = per_sample(octave.density * wish * (0.1 + 0.9 * strength) / SHAPES)
    number = uniform(generator, batch, SHAPES, *cells, like=strength)
    impulses = (number < density) * (octave.opacity * (0.25 + 0.75 * number / density))
    kernels = _draw_shapes(octave, bend, motion, generator)
    layer = F.conv2d(impulses.reshape(1, -1, *cells), kernels, padding=octave.side // 2, groups=batch)
    return layer.reshape(batch, 1, *cells).clamp(0, 1)


def _draw_shapes(octave: Octave, bend: Tensor, motion: Tensor, generator: torch.Generator) -> Tensor:
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
    return torch.exp(-(distance**4))

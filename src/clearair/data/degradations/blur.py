"""Motion and camera-shake blur along random or measured trajectories, and a little defocus.

Shapes: B images, H x W positions, K x K kernel, T points of a trajectory.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations.sampling import (
    chance,
    feature_scale,
    normal,
    per_sample,
    smooth_field,
    uniform,
)
from clearair.data.degradations.stages import Conditions, Stage, Step

STAGES = (Stage.LENS,)
EXTENT = (3.0, 25.0)
"""Length of the trajectory, in px at nominal size, at strength 0 and 1."""
POINTS = 96
MEASURED = 0.3
"""Share of the blur that follows a measured shake, turned, mirrored and scaled, where there are any."""
SATURATED = 0.98
"""Value from which a highlight may be brighter than the file can represent."""
BRIGHTEST = 8.0
"""How many times brighter than white such a highlight is at most; it draws a bright trail."""
DISPLAY_GAMMA = 2.2


@dataclass(frozen=True)
class Blur:
    """Two kernels an image, mixed by a map: y = (1 - m) (k1 * x) + m (k2 * x)."""

    kernels: Tensor
    """(B, 2, K, K), K odd, each summing to 1; a single centred 1 leaves the image unchanged."""
    mix: Tensor
    """(B, 1, H, W) share of the second kernel in [0, 1]."""
    linear: Tensor
    """(B,) bool: average in linear light, as a long exposure does (Nah et al., 2017)."""
    highlights: Tensor | None = None
    """(B,) how much brighter than white the lights are, less 1, that the file clipped; in linear light."""

    def __call__(self, clean: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same, blurred."""
        bright = clean.pow(DISPLAY_GAMMA)
        if self.highlights is not None:
            clipped = ((clean.amin(1, keepdim=True) - SATURATED) / (1 - SATURATED)).clamp(0, 1)
            bright = bright * (1 + per_sample(self.highlights) * clipped)
        light = torch.where(per_sample(self.linear), bright, clean)
        first, second = _convolve(light, self.kernels)
        blurred = torch.lerp(first, second, self.mix).clamp(0, 1)
        return torch.where(per_sample(self.linear), blurred.pow(1 / DISPLAY_GAMMA), blurred)


def draw(pictures: Tensor, strength: Tensor, conditions: Conditions) -> tuple[Step, ...]:
    """The step of `draw_blur`, as `DamageModule` requires."""
    size = (pictures.shape[-2], pictures.shape[-1])
    return (draw_blur(strength, size, conditions.generator, conditions.blur_kernels),)


def draw_blur(
    strength: Tensor, size: tuple[int, int], generator: torch.Generator, blur_kernels: Tensor | None = None
) -> Blur:
    """Blur for (B,) strengths in [0, 1] and images of (H, W); three in ten vary over the picture.

    blur_kernels (N, T, 3), if given, are measured paths of unit extent: right, down, share of the time.
    """
    batch, scale = len(strength), feature_scale(size)
    extent = scale * (EXTENT[0] + (EXTENT[1] - EXTENT[0]) * strength)
    side = 2 * math.ceil(0.75 * scale * EXTENT[1]) + 1
    path = _draw_path(batch, generator, like=strength)
    # The second kernel is a relative of the first: the same shake seen at another depth, or rotated.
    turn = 0.25 * normal(generator, batch, like=strength)
    ratio = uniform(generator, batch, like=strength, low=0.3, high=1.0)
    defocus = scale * uniform(generator, batch, like=strength, low=0.35, high=1.0)
    extents, turns = (extent, extent * ratio), (torch.zeros_like(turn), turn)
    kernels = torch.stack(
        [_rasterise(_turn(path, t), e, defocus, side) for e, t in zip(extents, turns, strict=True)], dim=1
    )
    if blur_kernels is not None:
        path, weights = _draw_measured(blur_kernels.to(strength), batch, generator, like=strength)
        measured = torch.stack(
            [
                _rasterise(_turn(path, t), e, defocus, side, weights)
                for e, t in zip(extents, turns, strict=True)
            ],
            dim=1,
        )
        kernels = torch.where(per_sample(chance(generator, MEASURED, like=strength)) > 0, measured, kernels)
    varying = chance(generator, 0.3, like=strength)
    mix = smooth_field(generator, size, 2, like=strength)
    mix = ((mix - 0.5) * 3 + 0.5).clamp(0, 1) * per_sample(varying)
    glaring = chance(generator, 0.4, like=strength) * uniform(generator, batch, like=strength) ** 2
    return Blur(
        kernels=kernels,
        mix=mix,
        linear=chance(generator, 0.5, like=strength).bool(),
        highlights=(BRIGHTEST - 1) * glaring,
    )


def _draw_path(batch: int, generator: torch.Generator, *, like: Tensor) -> Tensor:
    """Trajectories (B, T, 2) of unit extent: inertia with random pushes (Boracchi and Foi, 2012)."""
    heading = uniform(generator, batch, 1, like=like, high=2 * math.pi)
    start = torch.cat([heading.cos(), heading.sin()], 1)[:, None]
    # A third is nearly straight, the rest bends more and more like a shaking hand.
    wobble = uniform(generator, batch, 1, 1, like=like, low=-0.5, high=1.0).clamp_min(0) * 0.35
    velocity = start + wobble * normal(generator, batch, POINTS, 2, like=like).cumsum(1)
    path = velocity.cumsum(1)
    path = path - path.mean(1, keepdim=True)
    extent: Tensor = torch.linalg.vector_norm(path, dim=2).amax(1).clamp_min(1e-6) * 2
    return path / extent[:, None, None]


def _draw_measured(
    blur_kernels: Tensor, batch: int, generator: torch.Generator, *, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Measured paths (B, T, 2), turned by any angle, some mirrored; and the weights (B, T) of points."""
    count = len(blur_kernels)
    chosen = (uniform(generator, batch, like=like) * count).long().clamp_max(count - 1)
    picked = blur_kernels[chosen]
    side = 1 - 2 * chance(generator, 0.5, like=like)[:, None, None]
    points = torch.cat([picked[..., :1] * side, picked[..., 1:2]], dim=2)
    return _turn(points, uniform(generator, batch, like=like, high=2 * math.pi)), picked[..., 2]


def _turn(path: Tensor, angle: Tensor) -> Tensor:
    cos, sin = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
    return torch.stack([cos * path[..., 0] - sin * path[..., 1], sin * path[..., 0] + cos * path[..., 1]], 2)


def _rasterise(
    path: Tensor, extent: Tensor, defocus: Tensor, side: int, weights: Tensor | None = None
) -> Tensor:
    """(B, T, 2) of unit extent, (B,) px, (B,) px -> kernels (B, K, K): a Gaussian dot at every point.

    weights (B, T) say how long each point is lit; without them all points are lit as long as each other.
    """
    axis = torch.arange(side, device=path.device, dtype=path.dtype) - side // 2
    points = (path * extent[:, None, None]).clamp(-(side // 2), side // 2)
    width = 2 * defocus[:, None, None] ** 2
    across = torch.exp(-((axis - points[..., :1]) ** 2) / width)  # (B, T, K)
    down = torch.exp(-((axis - points[..., 1:]) ** 2) / width)
    if weights is not None:
        down = down * weights[..., None]
    kernels = down.transpose(1, 2) @ across
    return kernels / kernels.sum((1, 2), keepdim=True)


def _convolve(image: Tensor, kernels: Tensor) -> list[Tensor]:
    """(B, C, H, W), (B, n, K, K) -> n of (B, C, H, W): each image with its own kernels, edges replicated."""
    height, width = image.shape[-2:]
    radius = kernels.shape[-1] // 2
    padded = F.pad(image, (radius, radius, radius, radius), mode="replicate")
    size = padded.shape[-2:]
    spectrum: Tensor = torch.fft.rfft2(padded)
    responses: Tensor = torch.fft.rfft2(kernels, s=size)
    blurred: list[Tensor] = [
        torch.fft.irfft2(spectrum * response[:, None], s=size) for response in responses.unbind(1)
    ]
    # Circular convolution with the kernel's corner at the origin delays the image by twice the radius.
    rows, columns = slice(2 * radius, 2 * radius + height), slice(2 * radius, 2 * radius + width)
    return [full[..., rows, columns].contiguous() for full in blurred]

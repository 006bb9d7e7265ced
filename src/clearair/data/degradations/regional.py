"""Damage that differs from place to place: one kind here, another or none there.

Shapes: B pictures, K kinds (the order of KINDS), H x W pixels, h x w places of a map of cover.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations.depth import estimate_depth
from clearair.data.degradations.sampling import (
    as_indices,
    normal,
    on_processor,
    per_sample,
    smooth_field,
    uniform,
)
from clearair.data.degradations.synthesis import Degraded, degrade
from clearair.errors import UsageError

SHARE = (0.25, 0.75)
"""Range of the part of a picture that goes to the first damage."""
SOFTNESS = (0.02, 0.5)
"""Range of the width of the border, in standard deviations of the field that is divided."""


def degrade_in_parts(
    clean: Tensor,
    first: Sequence[Sequence[str]],
    second: Sequence[Sequence[str] | None],
    generator: torch.Generator,
    depth: Tensor | None = None,
    blur_kernels: Tensor | None = None,
    sigmas: Sequence[float] = (),
) -> Degraded:
    """Damage a part of each picture in one way and the rest in another: y = m y1 + (1 - m) y2.

    clean (B, 3, H, W) float32 in [0, 1]; first and second hold one sequence of names from KINDS per picture:
    an empty one leaves that part untouched, None as second gives the whole picture to the first. Where both
    have a kind, it is there everywhere, and as strong as on average. depth, blur_kernels and sigmas are as
    for `degrade`. The same generator state gives the same result.

    Raises UsageError for an unknown kind, or when kinds and pictures differ in number.
    """
    if len(second) != len(first):
        raise UsageError(f"first and second must be equally many, got {len(first)} and {len(second)}.")
    damaged = degrade(clean, first, generator, depth=depth, blur_kernels=blur_kernels, sigmas=sigmas)
    rest = [index for index, kinds in enumerate(second) if kinds is not None]
    if not rest:
        return damaged
    parts = as_indices(rest, like=clean)
    here = Degraded(**{name: value[parts] for name, value in vars(damaged).items()})
    there = degrade(
        clean[parts],
        [second[index] or () for index in rest],
        generator,
        depth=None if depth is None else depth[parts],
        blur_kernels=blur_kernels,
        sigmas=sigmas,
    )
    joined = lay_together(here, there, draw_mask(clean[parts], generator))
    whole = replace(damaged, cover=damaged.cover.clone())
    for name, value in vars(joined).items():
        getattr(whole, name)[parts] = value
    return whole


def lay_together(first: Degraded, second: Degraded, mask: Tensor) -> Degraded:
    """The first where the mask (B, 1, H, W) is 1, the second where it is 0."""
    places = (first.cover.shape[-2], first.cover.shape[-1])
    share = F.adaptive_avg_pool2d(mask, places)
    cover_first, cover_second = first.cover * share, second.cover * (1 - share)
    weight = cover_first.mean((2, 3)), cover_second.mean((2, 3))  # (B, K) each
    strength = weight[0] * first.strength + weight[1] * second.strength
    return Degraded(
        image=torch.lerp(second.image, first.image, mask),
        kinds=first.kinds | second.kinds,
        strength=strength / (weight[0] + weight[1]).clamp_min(1e-6),
        cover=cover_first + cover_second,
    )


def draw_mask(clean: Tensor, generator: torch.Generator) -> Tensor:
    """A soft part of each picture (B, 3, H, W): (B, 1, H, W) in [0, 1].

    A field, of one of four sorts, is cut where it leaves the first part a share within SHARE.
    """
    like = clean[:, 0, 0, 0]  # (B,)
    sort = torch.randint(len(FIELDS), (len(clean),), generator=on_processor(generator))
    field = torch.empty_like(clean[:, :1])
    for index, draw_field in enumerate(FIELDS):
        chosen = as_indices((sort == index).nonzero()[:, 0], like=clean)
        if len(chosen):
            field[chosen] = draw_field(clean[chosen], generator)
    step = max(1, min(field.shape[-2:]) // 48)
    sample = field[..., ::step, ::step].flatten(1).sort(dim=1).values  # enough to know its spread
    share = uniform(generator, len(clean), like=like, low=SHARE[0], high=SHARE[1])
    cut = sample.gather(1, ((1 - share) * (sample.shape[1] - 1)).long()[:, None])[:, 0]
    low, high = (math.log(value) for value in SOFTNESS)
    softness = torch.exp(uniform(generator, len(clean), like=like, low=low, high=high))
    width = (softness * sample.std(dim=1)).clamp_min(1e-4)
    side = 1 - 2 * (uniform(generator, len(clean), like=like) < 0.5).to(like)
    inside = ((field - per_sample(cut)) / per_sample(width)).add_(0.5).clamp_(0, 1)
    return torch.where(per_sample(side) > 0, inside, 1 - inside)


def _half_plane(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Grows evenly in one direction."""
    height, width = clean.shape[-2:]
    angle = per_sample(uniform(generator, len(clean), like=clean, high=2 * math.pi))
    rows = torch.linspace(-0.5, 0.5, height, device=clean.device, dtype=clean.dtype)[:, None]
    columns = torch.linspace(-0.5, 0.5, width, device=clean.device, dtype=clean.dtype)[None, :]
    return angle.sin() * rows + angle.cos() * columns


def _blobs(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Hills and dales without regard to the picture."""
    size = (clean.shape[-2], clean.shape[-1])
    return smooth_field(generator, size, 3, like=clean[:, 0, 0, 0])


def _distance(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Estimated depth: near things, or far ones."""
    return estimate_depth(clean, generator)


def _tone(clean: Tensor, generator: torch.Generator) -> Tensor:
    """A random mixture of the smoothed colours, so that the parts follow what the picture shows."""
    height, width = clean.shape[-2:]
    shrink = max(1, min(height, width) // 64)
    small = F.interpolate(clean, (height // shrink, width // shrink), mode="area")
    small = F.avg_pool2d(small, 5, 1, 2, count_include_pad=False)
    weights = normal(generator, len(clean), 3, 1, 1, like=clean)
    field = (small * weights).sum(1, keepdim=True)
    return F.interpolate(field, (height, width), mode="bilinear", align_corners=False)


FIELDS: tuple[Callable[[Tensor, torch.Generator], Tensor], ...] = (_half_plane, _blobs, _distance, _tone)
"""What divides a picture: each makes (B, 1, H, W) of any range from (B, 3, H, W)."""

"""Damage a batch of clean pictures: any mixture of kinds, in the order in which nature applies them.

Shapes: B images, K kinds (the order of KINDS), H x W positions, h x w places of a map of cover.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearair.data.degradations.sampling import as_indices, uniform
from clearair.data.degradations.stages import Conditions, Step, in_order, module_of
from clearair.errors import UsageError
from clearair.kinds import NAMES, listed

KINDS = NAMES
"""Every kind of damage that can be made."""

CDD11 = (
    ("lowlight",),
    ("haze",),
    ("rain",),
    ("snow",),
    ("lowlight", "haze"),
    ("lowlight", "rain"),
    ("lowlight", "snow"),
    ("haze", "rain"),
    ("haze", "snow"),
    ("lowlight", "haze", "rain"),
    ("lowlight", "haze", "snow"),
)
"""The single and mixed kinds of the composite data set CDD-11 (Guo et al., 2024)."""


COVER_STRIDE = 8
"""Pixels between two places of a map of cover."""


@dataclass(frozen=True)
class Degraded:
    """Damaged pictures, and what was done to them."""

    image: Tensor
    """(B, 3, H, W) in [0, 1]."""
    kinds: Tensor
    """(B, K) bool, in the order of KINDS."""
    strength: Tensor
    """(B, K) in [0, 1]; 0 where the kind is absent."""
    cover: Tensor
    """(B, K, h, w) in [0, 1]: the share of each kind at each place, COVER_STRIDE pixels apart. May be a view
    without memory of its own: clone before writing into it."""


def degrade(
    clean: Tensor,
    kinds: Sequence[Sequence[str]],
    generator: torch.Generator,
    strength: Tensor | float | None = None,
    depth: Tensor | None = None,
    blur_kernels: Tensor | None = None,
    sigmas: Sequence[float] = (),
) -> Degraded:
    """Damage each picture with its own kinds; the same generator state gives the same result.

    clean (B, 3, H, W) float32 in [0, 1]; kinds holds one sequence of names from KINDS per picture, empty
    to leave it untouched; strength in [0, 1] is one number, (B,), or None for a uniform draw per picture
    and kind (up to 1 alone, less in a mixture); depth (B, 1, H, W), dense and in any unit, shapes haze and
    is estimated where it is absent or 0 all over; blur_kernels (N, T, 3) are measured ones (`draw_blur`);
    sigmas are the only deviations of noise, in 1/255 (`draw_noise`). The generator may live on another device
    than the pictures.

    Raises UsageError for an unknown kind, a strength outside [0, 1], or when kinds and pictures differ
    in number.
    """
    present = _presence(kinds, clean)
    amount = _strengths(strength, present, clean, generator)
    image = clean.clone()
    steps: dict[str, tuple[Step, ...]] = {}
    for kind, number in in_order():
        chosen = _having(kind, kinds, clean)
        if not len(chosen):
            continue
        pictures = image[chosen]
        if kind not in steps:
            given = Conditions(generator, None if depth is None else depth[chosen], blur_kernels, sigmas)
            steps[kind] = module_of(kind).draw(pictures, amount[chosen, KINDS.index(kind)], given)
        image[chosen] = steps[kind][number](pictures)
        if number == len(steps[kind]) - 1:
            del steps[kind]  # the drawn values may be several times as large as the pictures
    size = clean.shape[-2:]
    places = (-(-size[0] // COVER_STRIDE), -(-size[1] // COVER_STRIDE))
    cover = present.to(clean)[:, :, None, None].expand(-1, -1, *places)
    return Degraded(image=image, kinds=present, strength=amount, cover=cover)


def _presence(kinds: Sequence[Sequence[str]], clean: Tensor) -> Tensor:
    """(B, K) bool: which picture gets which kind."""
    if len(kinds) != len(clean):
        raise UsageError(f"kinds must have one entry per picture, got {len(kinds)} for {len(clean)}.")
    for name in (name for names in kinds for name in names):
        if name not in KINDS:
            raise UsageError(f"Unknown kind of damage {name!r}; known are {listed()}.")
    rows = [[kind in names for kind in KINDS] for names in kinds]
    present = torch.tensor(rows, dtype=torch.bool).reshape(len(clean), len(KINDS))
    return present.to(clean.device, non_blocking=True)


def _having(kind: str, kinds: Sequence[Sequence[str]], clean: Tensor) -> Tensor:
    """(n,) indices of the pictures that get a kind; from the names, so that no device is waited for."""
    return as_indices([index for index, names in enumerate(kinds) if kind in names], like=clean)


def _strengths(
    strength: Tensor | float | None, present: Tensor, clean: Tensor, generator: torch.Generator
) -> Tensor:
    """(B, K) strengths, 0 where a kind is absent."""
    if strength is None:
        # Parts of a mixture are drawn weaker, so that enough of the scene is left to restore.
        others = (present.sum(1, keepdim=True).to(clean.dtype) - 1).clamp_min(0)
        amount = uniform(generator, *present.shape, like=clean) / (1 + 0.3 * others)
    else:
        amount = torch.as_tensor(strength, dtype=clean.dtype, device=clean.device)
        amount = amount.reshape(-1, 1).expand(present.shape)
        if not bool(((amount >= 0) & (amount <= 1)).all()):
            raise UsageError("strength must lie in [0, 1].")
    return amount * present

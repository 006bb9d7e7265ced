"""Damage one photo the way training pictures are damaged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from clearair.data.degradations import degrade
from clearair.image import Photo, to_depth


def degrade_photo(
    photo: Photo, kinds: Sequence[str], *, strength: float | None = None, seed: int = 0
) -> Photo:
    """Apply `kinds` in their physical order; the same seed makes the same damage.

    `strength` lies in [0, 1]; None draws one a kind from the seed. Raises UsageError for an unknown kind.
    """
    pixels = to_depth(photo.pixels, np.dtype(np.float32))
    clean = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
    damaged = degrade(clean, [kinds], torch.Generator().manual_seed(seed), strength).image
    return photo.with_pixels(damaged[0].permute(1, 2, 0).numpy())

"""Damage a picture in the same way as training pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearair.data.naming import named
from clearair.errors import UsageError
from clearair.files.adapters import Picture, as_photo, from_photo
from clearair.image import Photo, to_depth
from clearair.optional import require_pytorch


def degrade(
    picture: Picture, kinds: str | Sequence[str], *, strength: float | None = None, seed: int = 0
) -> Any:
    """Return a damaged copy: an array for an array, a PIL image for one, for a file an array (H, W[, C]).

    `kinds` are names such as "haze" or ["haze", "rain"], applied in their physical order. `strength` lies in
    [0, 1]; None draws one for each kind from the seed. The same seed makes the same damage. Raises ImageError
    when the picture cannot be read, UsageError for an unknown kind, a strength outside [0, 1] or an odd seed,
    MissingExtraError without PyTorch.
    """
    names = named(kinds)
    photo, layout = as_photo(picture)
    return from_photo(degrade_photo(photo, names, strength=strength, seed=seed), layout)


def degrade_photo(
    photo: Photo, kinds: Sequence[str], *, strength: float | None = None, seed: int = 0
) -> Photo:
    """Return the photo with `kinds` of damage, as `degrade` applies them."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 63:
        raise UsageError(f"A seed is a whole number from 0 to {(1 << 63) - 1}, got {seed!r}.")
    if strength is not None and (
        isinstance(strength, bool)
        or not isinstance(strength, int | float | np.integer | np.floating)
        or not 0 <= strength <= 1
    ):
        raise UsageError(f"The strength is a number in [0, 1] or None, got {strength!r}.")
    require_pytorch("degrade")
    import torch

    from clearair.data.degradations import degrade as damage

    pixels = to_depth(photo.pixels, np.dtype(np.float32))
    clean = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
    with torch.device("cpu"):  # whatever torch.set_default_device says
        damaged = damage(clean, [kinds], torch.Generator().manual_seed(seed), strength).image
    return photo.with_pixels(damaged[0].permute(1, 2, 0).numpy())

"""Batches of tensors for perceivers that look at one array after the other, as 8 bits.

Shapes: B images, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clearair.percepts import Guidance, Percepts

if TYPE_CHECKING:
    from torch import Tensor


def perceive_as_arrays(
    images: Tensor, perceive: Callable[[list[NDArray[np.uint8]]], Sequence[Percepts]]
) -> Guidance:
    """RGB in [0, 1], (B, 3, H, W), rounded to 8 bits -> what a restorer is told, on the images' device.

    `perceive` is given B arrays (H, W, 3).
    """
    import torch

    from clearair.network.guidance import joined, to_tensors

    pixels = (images.detach().float().clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    arrays = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in pixels]
    # A frozen perceiver says the same in a training loop's mixed precision as without.
    with torch.autocast(images.device.type, enabled=False):
        seen = [to_tensors(percepts.guidance) for percepts in perceive(arrays)]
        return joined(seen).to(images.device)

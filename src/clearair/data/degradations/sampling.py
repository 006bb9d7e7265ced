"""Random numbers, smooth random fields and sizes that all degradations draw from.

Everything is drawn on the generator's own device and then moved, so that a seed gives the same numbers
wherever the pictures live. Values that Python needs are drawn on the CPU, and nothing is read back from
another device, which may still be busy with the previous step.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

NOMINAL_SHORT_SIDE = 512
"""Up to this many pixels a streak, flake or drop keeps its size in pixels; larger pictures scale it."""


def uniform(
    generator: torch.Generator, *shape: int, like: Tensor, low: float = 0.0, high: float = 1.0
) -> Tensor:
    """Numbers in [low, high) of the given shape, on the device and in the type of `like`."""
    numbers = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float32)
    return _moved(low + (high - low) * numbers, like)


def normal(generator: torch.Generator, *shape: int, like: Tensor) -> Tensor:
    """Standard normal numbers of the given shape, on the device and in the type of `like`."""
    numbers = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32)
    return _moved(numbers, like)


def on_processor(generator: torch.Generator) -> torch.Generator:
    """A CPU generator for values that Python needs: the generator itself, or one seeded from a GPU's."""
    if generator.device.type == "cpu":
        return generator
    place = generator.get_state()  # seed and place in the stream, which the processor keeps
    torch.rand(1, generator=generator, device=generator.device)  # the next one is another
    return torch.Generator().manual_seed(int.from_bytes(bytes(place.tolist()[-16:]), "little") % (2**63 - 25))


def as_indices(chosen: Sequence[int] | Tensor, *, like: Tensor) -> Tensor:
    """Return indices (n,) of samples chosen on the CPU, on the device of `like`."""
    return torch.as_tensor(chosen, dtype=torch.long).to(like.device, non_blocking=True)


def random_indices(generator: torch.Generator, probability: float, *, like: Tensor) -> Tensor:
    """Return indices (n,) of random samples of `like` (B, ...), each chosen with this probability."""
    numbers = torch.rand(len(like), generator=on_processor(generator), dtype=torch.float32)
    return as_indices((numbers < probability).nonzero()[:, 0], like=like)


def _moved(numbers: Tensor, like: Tensor) -> Tensor:
    # A copy to the CPU must be complete before it is read.
    return numbers.to(like, non_blocking=like.device.type != "cpu")


def constant(values: Any, *, like: Tensor) -> Tensor:
    """Numbers in the type and on the device of `like`, without waiting for it as `new_tensor` does."""
    return torch.tensor(values, dtype=like.dtype).to(like.device, non_blocking=True)


def chance(generator: torch.Generator, probability: float, *, like: Tensor) -> Tensor:
    """(B,) of 0 and 1, one with the given probability, for `like` of shape (B,)."""
    return (uniform(generator, len(like), like=like) < probability).to(like)


def smooth_field(generator: torch.Generator, size: tuple[int, int], cells: int, *, like: Tensor) -> Tensor:
    """A smooth random field (B, 1, H, W) in [0, 1], about `cells` bumps along a side, for `like` (B,)."""
    coarse = uniform(generator, len(like), 1, cells + 1, cells + 1, like=like)
    return F.interpolate(coarse, size, mode="bicubic", align_corners=True).clamp(0, 1)


def draw_veil(
    thickest: Tensor, size: tuple[int, int], generator: torch.Generator, distance: Tensor | None
) -> Tensor:
    """Share hidden by far rain or snow, (B, 1, H, W) in [0, 1]: 1 - exp(-b d), b at most `thickest` (B,).

    It does not fall evenly, so b changes slowly over the picture. `distance` (B, 1, H, W) goes from 0 near to
    1 far; without it all is far.
    """
    beta = thickest * uniform(generator, len(thickest), like=thickest) ** 1.5
    beta = beta * chance(generator, 0.8, like=thickest)
    nearest = per_sample(uniform(generator, len(thickest), like=thickest, low=0.1, high=0.5))
    uneven = 0.5 + smooth_field(generator, size, 2, like=thickest)
    far = 1.0 if distance is None else nearest + (1 - nearest) * distance
    return 1 - torch.exp(-per_sample(beta) * uneven * far)


def feature_scale(size: tuple[int, int]) -> float:
    """How many times larger than nominal things are drawn in a picture of this (height, width)."""
    return max(1.0, min(size) / NOMINAL_SHORT_SIDE)


def per_sample(parameter: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1), to be multiplied with images."""
    return parameter[:, None, None, None]


def gaussian_blur(image: Tensor, sigma: Tensor, radius: int, shrink: int = 1) -> Tensor:
    """Gaussian blur of (B, C, H, W) by (B,) px each, cut off at `radius * shrink` px; dark beyond the border.

    With shrink > 1 it is done on a picture that many times smaller, for when sigma allows it.
    """
    height, width = image.shape[-2:]
    if shrink > 1:
        image = F.interpolate(image, (height // shrink, width // shrink), mode="area")
    axis = torch.arange(-radius, radius + 1, device=image.device)
    kernel = torch.exp(-0.5 * (axis * shrink / sigma[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    kernel = kernel.repeat_interleave(image.shape[1], 0)[:, None, :, None]  # (B * C, 1, taps, 1)
    planes = image.reshape(1, len(kernel), *image.shape[-2:])
    planes = F.conv2d(planes, kernel, padding=(radius, 0), groups=len(kernel))
    planes = F.conv2d(planes, kernel.transpose(2, 3), padding=(0, radius), groups=len(kernel))
    blurred = planes.reshape(image.shape)
    return F.interpolate(blurred, (height, width), mode="bilinear") if shrink > 1 else blurred

"""A plausible depth map for a single picture: a prior for haze, not a measurement.

No network is involved. Haze looks real if it thickens towards the horizon, lies evenly on whole objects, and
stops at their outlines. Position, colour and edges suffice for that.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations.sampling import per_sample, smooth_field, uniform
from clearair.guided_filter import guided_filter
from clearair.similarity import luma

WORKING_SIDE = 64
"""Short side, in pixels, at which the map is made before edges are put in at full size."""
GUIDE_SOFTNESS = 0.004
"""Variance of the luminance (0..1) below which the guided filter smooths instead of keeping an edge."""


def estimate_depth(clean: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> relative depth (B, 1, H, W) in [0, 1], 0 near and 1 farthest."""
    height, width = clean.shape[-2:]
    shrink = max(1.0, min(height, width) / WORKING_SIDE)
    size = (max(1, round(height / shrink)), max(1, round(width / shrink)))
    small = F.interpolate(clean, size, mode="area")
    like = clean[:, 0, 0, 0]  # (B,)
    weights = uniform(generator, len(clean), 3, like=clean, low=0.2, high=1.0)
    weights = weights / weights.sum(1, keepdim=True)
    rough = (
        per_sample(weights[:, 0]) * 1.6 * _ground_and_sky(size, generator, like=like)
        + per_sample(weights[:, 1]) * _aerial_cue(small)
        + per_sample(weights[:, 2]) * 0.8 * smooth_field(generator, size, 3, like=like)
    )
    depth = _guided_upsample(rough, small, clean)
    low, high = depth.amin((2, 3), keepdim=True), depth.amax((2, 3), keepdim=True)
    return (depth - low) / (high - low).clamp_min(1e-3)


def find_sky(clean: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> (B, 1, H, W) in [0, 1]: smooth, bright, not warm, and open above.

    A pale wall above everything else also counts as sky, as it does in depth estimated by networks.
    """
    height, width = clean.shape[-2:]
    shrink = max(1.0, min(height, width) / WORKING_SIDE)
    small = F.interpolate(clean, (max(1, round(height / shrink)), max(1, round(width / shrink))), mode="area")
    bright = torch.sigmoid((small.amax(1, keepdim=True) - 0.55) / 0.05)
    cool = torch.sigmoid((small[:, 2:] - small[:, :1] + 0.06) / 0.02)
    likely = F.avg_pool2d(bright * cool * torch.exp(-20 * _texture(small)), 3, 1, 1, count_include_pad=False)
    open_above = torch.cummin(likely, dim=2).values
    return _guided_upsample(open_above, small, clean, radius=3).clamp(0, 1)


def _ground_and_sky(size: tuple[int, int], generator: torch.Generator, *, like: Tensor) -> Tensor:
    """Depth (B, 1, h, w) of a tilted ground plane below a random horizon, and of a far sky above it."""
    height, width = size
    rows = torch.linspace(0, 1, height, device=like.device, dtype=like.dtype)[:, None]
    columns = torch.linspace(-0.5, 0.5, width, device=like.device, dtype=like.dtype)[None, :]
    horizon = per_sample(uniform(generator, len(like), like=like, low=-0.3, high=0.6))
    tilt = per_sample(uniform(generator, len(like), like=like, low=-0.4, high=0.4))
    below = (rows + tilt * columns - horizon).clamp_min(0)
    nearness = per_sample(uniform(generator, len(like), like=like, low=2.0, high=8.0))
    return 1 / (1 + nearness * below)


def _aerial_cue(image: Tensor) -> Tensor:
    """(B, 3, h, w) -> (B, 1, h, w) in [0, 1]: high where it is bright, pale and smooth, as sky is."""
    dark = -F.max_pool2d(-image.amin(1, keepdim=True), 5, stride=1, padding=2)
    return dark * torch.exp(-12 * _texture(image))


def _texture(image: Tensor) -> Tensor:
    """(B, 3, h, w) -> (B, 1, h, w): how much the luminance differs from its surroundings."""
    luminance = luma(image)
    texture = (luminance - F.avg_pool2d(luminance, 5, 1, 2, count_include_pad=False)).abs()
    return F.avg_pool2d(texture, 5, 1, 2, count_include_pad=False)


def _guided_upsample(rough: Tensor, small: Tensor, full: Tensor, radius: int = 6) -> Tensor:
    """A rough map and the picture at low size, the picture at full: the map with the picture's edges."""
    small, full = luma(small), luma(full)

    down, across = (_window_means(length, radius, like=rough) for length in rough.shape[-2:])

    return guided_filter(rough, small, full, lambda x: down @ x @ across.mT, GUIDE_SOFTNESS)


def _window_means(length: int, radius: int, *, like: Tensor) -> Tensor:
    """(n, n) whose product with a column is the mean over 2 radius + 1 places, of those that exist.

    For windows this large it takes a tenth of the time that average pooling does on a CPU.
    """
    places = torch.arange(length, device=like.device)
    near = ((places[:, None] - places).abs() <= radius).to(like.dtype)
    return near / near.sum(1, keepdim=True)

"""From region embeddings to a label map: cover the modes of the embedding, the heaviest first.

Deterministic, batched, and the same for one image as for many.
Shapes: B images, E entries of an embedding, h x w positions, P points, K = N - 1 regions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_SHIFTS = 4  # mean-shift steps: the points have gathered by then
_SMALLEST = 0.005  # smaller regions are not worth a token: 0.5 % of the image
_CLAIM = 4.0  # a position farther away than this (in squared region radii) belongs to no region


@torch.no_grad()
def cluster_regions(embedding: Tensor, radius: Tensor | float, regions: int, size: tuple[int, int]) -> Tensor:
    """Embeddings (B, E, h, w) -> labels (B, H, W) uint8 in [0, regions] at a finer `size`.

    Two positions closer than `radius` belong together. Labels are numbered by area, the largest is 1;
    0 means that no region claims a position. Regions below 0.5 % of the image fall to their neighbours
    in the embedding.
    """
    points = embedding.float() / radius
    modes, valid = _modes(F.avg_pool2d(points, 2, ceil_mode=True).flatten(2).transpose(1, 2), regions)
    affinity = -_squared_distances(points.flatten(2).transpose(1, 2), modes)  # (B, hw, K)
    affinity = affinity.masked_fill(~valid[:, None], -torch.inf)
    valid &= _areas(affinity) >= _SMALLEST
    valid[:, 0] |= ~valid.any(dim=1)
    affinity = affinity.masked_fill(~valid[:, None], -1e4)
    order = _largest_first(_areas(affinity))
    affinity = affinity.gather(2, order[:, None].expand_as(affinity))
    maps = affinity.transpose(1, 2).reshape(points.shape[0], -1, *points.shape[2:])
    best, labels = F.interpolate(maps, size, mode="bilinear", align_corners=False).max(dim=1)
    return torch.where(best < -_CLAIM, 0, labels + 1).to(torch.uint8)


def _modes(points: Tensor, regions: int) -> tuple[Tensor, Tensor]:
    """Points (B, P, E) -> centres (B, K, E) and which of them exist (B, K)."""
    gathered = points
    for _ in range(_SHIFTS):
        gathered = _shifted(gathered)
    distance = _squared_distances(gathered, gathered)
    density = torch.exp(-2.0 * distance).sum(dim=2)  # (B, P)
    free = torch.ones_like(density, dtype=torch.bool)
    centres, valid = [], []
    for _ in range(regions):
        seed = density.masked_fill(~free, 0.0).argmax(dim=1)  # (B,)
        valid.append(free.any(dim=1))
        near = distance.gather(1, seed[:, None, None].expand(-1, 1, points.shape[1]))[:, 0] < 1.0
        members = (near & free).to(points.dtype)
        centres.append((members[:, None] @ points)[:, 0] / members.sum(dim=1, keepdim=True).clamp_min(1.0))
        free &= ~near
    return torch.stack(centres, dim=1), torch.stack(valid, dim=1)


def _shifted(points: Tensor) -> Tensor:
    """One step of blurring mean shift (Cheng, 1995): points (B, P, E) move to the mean of nearby points.

    With the kernel exp(-2 d^2), the normalised weights are a softmax of 4 x y - 2 y^2, since x^2 cancels.
    """
    squares = points.square().sum(dim=2)[:, None]  # (B, 1, P)
    return (
        torch.baddbmm(squares, points, points.transpose(1, 2), beta=-2.0, alpha=4.0).softmax(dim=2) @ points
    )


def _areas(affinity: Tensor) -> Tensor:
    """Share of the positions (B, P, K) that each region wins, (B, K)."""
    winner = affinity.argmax(dim=2)
    return (winner[..., None] == torch.arange(affinity.shape[2], device=winner.device)).float().mean(dim=1)


def _largest_first(values: Tensor) -> Tensor:
    """(B, K) -> (B, K) indices, equal ones in their order: a stable sort that can be exported as a graph."""
    index = torch.arange(values.shape[1], device=values.device)
    larger = values[:, None] > values[:, :, None]  # (B, K, K), of every second value to every first
    before = (values[:, None] == values[:, :, None]) & (index[None, :] < index[:, None])
    rank = (larger | before).sum(dim=2)  # (B, K)
    return (rank[:, None] == index[:, None]).float().argmax(dim=2)


def _squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """(B, P, E), (B, M, E) -> (B, P, M)."""
    product = first @ second.transpose(1, 2)
    squares = first.square().sum(dim=2)[:, :, None] + second.square().sum(dim=2)[:, None]
    return (squares - 2 * product).clamp_min(0.0)

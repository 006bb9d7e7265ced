"""Remove the lattice that shuffled channels may draw.

Shapes: B images, s = stem, h x w cells of s x s pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.network.layers import at_least_float32

BLOCK = 4
"""Side, in cells, of the blocks over which a lattice is averaged first."""


def without_lattice(added: Tensor, there: Tensor, stem: int) -> Tensor:
    """Let what is added to a picture draw no lattice; both are cells, (B, 3 s^2, h, w).

    The pixels of a cell of s x s come from channels of their own. Where these differ in the same way over
    about 20 x 20 cells, a lattice is drawn: a pattern of the shuffle, not of the picture. What is left of it
    is a share, 0 to 1, of the one that is there, faded (the noise of that frequency has a mean of its own
    over so few cells). The share is the least squares fit around: a lattice that is always the same, however
    faint, has nothing in common with what is there, and goes.
    """
    added, there = at_least_float32(added), at_least_float32(there)  # or rounding would leave a lattice again
    drawn, found = _differences(added, stem), _differences(there, stem)
    with torch.no_grad():  # what is asked of the network is a picture, and not a better fit
        common, size = ((part * found).sum(dim=1, keepdim=True) for part in (drawn, found))
        faded = (-_around(common) / _around(size).clamp_min(1e-12)).clamp(0, 1)
    excess = _around(drawn) + faded * _around(found)
    height, width = added.shape[2:]
    excess = F.interpolate(excess, scale_factor=float(BLOCK), mode="bilinear", align_corners=False)
    return added - excess[..., :height, :width]


def _differences(cells: Tensor, stem: int) -> Tensor:
    """How the pixels of a cell differ from a smooth picture, averaged over blocks.

    Of their difference from the cell's mean a slope is no lattice: without it, it would become a staircase.
    Blocks begin where tiles may begin, so that tiles and the whole agree.
    """
    blocks = F.avg_pool2d(cells, BLOCK, ceil_mode=True)
    parts = blocks.reshape(len(cells), -1, stem**2, *blocks.shape[2:])
    means = cells.reshape(len(cells), -1, stem**2, *cells.shape[2:]).mean(dim=2)  # (B, 3, h, w)
    down, across = (F.avg_pool2d(slope, BLOCK, ceil_mode=True) / stem for slope in _slopes(means))
    places = torch.arange(stem, device=cells.device, dtype=cells.dtype) - (stem - 1) / 2
    rows, columns = (
        place.flatten()[:, None, None] for place in torch.meshgrid(places, places, indexing="ij")
    )
    slope = down[:, :, None] * rows + across[:, :, None] * columns
    return (parts - parts.mean(dim=2, keepdim=True) - slope).flatten(1, 2)


def _slopes(means: Tensor) -> tuple[Tensor, Tensor]:
    """How much (B, C, h, w) grows from one place to the next, down and across."""
    down, across = (
        torch.gradient(means, dim=dim)[0] if means.shape[dim] > 1 else torch.zeros_like(means)
        for dim in (2, 3)
    )
    return down, across


def _around(blocks: Tensor) -> Tensor:
    """The mean over the 5 x 5 blocks around each."""
    return F.avg_pool2d(blocks, 5, 1, 2, count_include_pad=False)

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
    """Remove the lattice from what is added to a picture; both are cells, (B, 3 s^2, h, w).

    The pixels of a cell of s x s come from channels of their own. If they differ in the same way over about
    20 x 20 cells, they draw a lattice: a pattern of the shuffle, not of the picture. It is replaced by a
    share, 0 to 1, of the picture's own lattice, smoothed (over so few cells, noise of that frequency has a
    mean of its own). The share is a local least squares fit: a constant lattice, however faint, does not
    correlate with the picture, and is removed.
    """
    added, there = at_least_float32(added), at_least_float32(there)  # or rounding would leave a lattice again
    drawn, found = _differences(added, stem), _differences(there, stem)
    with torch.no_grad():  # the network is to restore the picture, not to improve this fit
        common, size = ((part * found).sum(dim=1, keepdim=True) for part in (drawn, found))
        faded = (-_around(common) / _around(size).clamp_min(1e-12)).clamp(0, 1)
    excess = _around(drawn) + faded * _around(found)
    height, width = added.shape[2:]
    excess = F.interpolate(excess, scale_factor=float(BLOCK), mode="bilinear", align_corners=False)
    return added - excess[..., :height, :width]


def _differences(cells: Tensor, stem: int) -> Tensor:
    """How the pixels of a cell differ from a smooth picture, averaged over blocks.

    A slope within a cell is not a lattice and is excluded; removing it would leave a staircase. Blocks begin
    where tiles may begin, so that tiles and the whole agree.
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
    """The mean over the 5 x 5 surrounding blocks."""
    return F.avg_pool2d(blocks, 5, 1, 2, count_include_pad=False)

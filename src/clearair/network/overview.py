"""The overview of a whole picture that the network needs, gathered in one pass over strips.

Mask average pooling (MAP; ClearAIR, eqs. 5-6) takes the mean of shallow features over a region. Those
features are a convolution of the picture, and a mean of convolutions is the convolution of a mean: it is
enough to know the mean neighbourhood of each region's positions. That is small, exact, and the same for every
window of the picture.

Shapes: B images, H x W pixels, s = stem, N regions, T = side of the thumbnail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.network.config import STRIP, THUMBNAIL, NetworkConfig
from clearair.network.layers import at_least_float32
from clearair.network.regions import membership

Rows = Callable[[int, int], tuple[Tensor, Tensor]]
"""(top, bottom) -> these rows of the picture, (B, 3, h, W) in [0, 1], and their labels (B, h, W)."""


@dataclass(frozen=True)
class Overview:
    """The data of the whole picture that its windows need."""

    neighbourhoods: Tensor
    """(B, N, 3 s^2, 3, 3) mean over each region of the 3x3 cells around a cell; a cell is s x s pixels."""
    areas: Tensor
    """(B, N) cells in each region, in fractions where a region covers part of a cell."""
    thumbnail: Tensor
    """(B, 3, T, T) the picture, averaged."""
    size: tuple[int, int]
    """H and W."""

    def to(self, device: torch.device | str) -> Overview:
        """Copy to a device."""
        neighbourhoods, areas = self.neighbourhoods.to(device), self.areas.to(device)
        return Overview(neighbourhoods, areas, self.thumbnail.to(device), self.size)

    def part(self, rows: slice) -> Overview:
        """Of some of the pictures."""
        return Overview(self.neighbourhoods[rows], self.areas[rows], self.thumbnail[rows], self.size)


def survey(image: Tensor, labels: Tensor, config: NetworkConfig) -> Overview:
    """The overview of pictures in memory: (B, 3, H, W) in [0, 1] with labels (B, H, W)."""

    def rows(top: int, bottom: int) -> tuple[Tensor, Tensor]:
        return image[:, :, top:bottom], labels[:, top:bottom]

    return survey_rows(rows, (image.shape[2], image.shape[3]), config)


@torch.no_grad()
def survey_rows(rows: Rows, size: tuple[int, int], config: NetworkConfig) -> Overview:
    """The same, from rows that are read when they are needed: memory grows with the width alone."""
    device = rows(0, 1)[0].device.type
    with torch.autocast(device, enabled=False):  # sums over thousands of cells need more than 8 bits
        means, areas = _pooled(rows, size, config)
        return Overview(means, areas, _thumbnail(rows, size), size)


def _pooled(rows: Rows, size: tuple[int, int], config: NetworkConfig) -> tuple[Tensor, Tensor]:
    """(B, N, 3 s^2, 3, 3) mean neighbourhoods and (B, N) areas of the regions."""
    height, width = size
    stem = config.stem
    sums: Tensor | float = 0.0
    areas: Tensor | float = 0.0
    for top in range(0, height, STRIP):
        bottom = min(top + STRIP, height)
        above, below = max(top - stem, 0), min(bottom + stem, height)
        image, labels = rows(above, below)
        cells = _cells(at_least_float32(image), top - above, below - bottom, size, config)
        inside = labels[:, top - above : bottom - above]
        pad = (0, -width % stem, 0, -(bottom - top) % stem)
        padded = F.pad(inside[:, None].float(), pad, mode="replicate")[:, 0].to(labels.dtype)
        members = membership(padded, config.region_count, stem).flatten(2)  # (B, N, cells)
        areas = areas + members.double().sum(dim=2)
        sums = sums + _neighbourhood_sums(cells, members.to(cells.dtype)).double()
    assert isinstance(sums, Tensor)
    assert isinstance(areas, Tensor)
    means = sums / areas.clamp_min(1e-6)[:, :, None, None, None]
    return means.to(cells.dtype), areas.to(cells.dtype)


def _cells(image: Tensor, before: int, after: int, size: tuple[int, int], config: NetworkConfig) -> Tensor:
    """A strip (B, 3, h, W) -> cells (B, 3 s^2, h', w') with a border of one, as the extraction sees them.

    `before` and `after` rows of it belong to its neighbours. The network first fills the picture up to its
    multiple by repeating pixels; beyond that its convolution pads with zeros or repeats whole cells.
    """
    stem = config.stem
    right = -size[1] % stem + (stem if config.fills_beyond(size[1]) else 0)
    # The picture may end in this strip or in the border below it, within a cell.
    below = -image.shape[2] % stem + (stem if not after and config.fills_beyond(size[0]) else 0)
    cells = F.pixel_unshuffle(F.pad(image, (0, right, 0, below), mode="replicate"), stem)
    pad = (
        1,
        0 if config.fills_beyond(size[1]) else 1,
        0 if before else 1,
        0 if after or config.fills_beyond(size[0]) else 1,
    )
    return F.pad(cells, pad, mode="replicate") if config.padding == "replicate" else F.pad(cells, pad)


def _neighbourhood_sums(cells: Tensor, members: Tensor) -> Tensor:
    """(B, D, h' + 2, w' + 2), (B, N, h' w') -> (B, N, D, 3, 3)."""
    height, width = cells.shape[2] - 2, cells.shape[3] - 2
    # With rows as wide as those of the cells, every shift is a slice of the flat array, without a copy.
    wide = F.pad(members.reshape(*members.shape[:2], height, width), (0, 2)).flatten(2)[..., :-2]
    flat = cells.flatten(2).transpose(1, 2)  # (B, (h' + 2) (w' + 2), D)
    starts = [down * (width + 2) + right for down in range(3) for right in range(3)]
    shifted = [wide @ flat[:, start : start + wide.shape[2]] for start in starts]
    return torch.stack(shifted, dim=3).reshape(*members.shape[:2], -1, 3, 3)


def _thumbnail(rows: Rows, size: tuple[int, int]) -> Tensor:
    """Adaptive average pooling to T x T, a row of it at a time where the picture is tall."""
    height, _ = size
    if height <= 4 * THUMBNAIL:
        return F.adaptive_avg_pool2d(at_least_float32(rows(0, height)[0]), THUMBNAIL)
    strips = []
    for index in range(THUMBNAIL):
        top, bottom = index * height // THUMBNAIL, -(-(index + 1) * height // THUMBNAIL)
        strips.append(F.adaptive_avg_pool2d(at_least_float32(rows(top, bottom)[0]), (1, THUMBNAIL)))
    return torch.cat(strips, dim=2)

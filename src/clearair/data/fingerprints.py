"""Fingerprints by which copies of a picture are recognised: a small version, and features around blobs.

A feature is found wherever its blob is, at the size it has there, so that crops and resized copies share
features. It is described in a canonical one of the eight positions a picture can be turned and mirrored
into, so that all of them are searched at once.

Shapes: H x W of a small picture, K features, D entries of a description.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.errors import ImageError
from clearair.image import read_photo, to_depth
from clearair.similarity import BT601

LONG_SIDE = 320
"""Longer side that every picture is looked at with."""
THUMBNAIL = 20
FEATURES = 260
"""Of each picture, at its strongest blobs."""
SIGMAS = tuple(1.6 * 2 ** (k / 3) for k in range(13))
GRID = 12
"""Samples along a patch, one deviation of its blob apart."""
CELLS = 4
"""Along a patch, in each of which gradients are summed."""
DOUBT = 0.06
"""Imbalance of a patch below which either of two positions may be the canonical one."""

SYMMETRIES = tuple((turns, mirrored) for mirrored in (False, True) for turns in range(4))
"""Quarter turns, and whether the turned picture is then mirrored."""


@dataclass(frozen=True, eq=False)
class Features:
    """Descriptions of blobs, in canonical positions."""

    descriptions: Tensor
    """(K, D), each of norm 1."""
    places: Tensor
    """(K, 3): row, column, and size of each blob."""
    symmetries: Tensor
    """(K,) which of SYMMETRIES brings the patch into its canonical position."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What copies of a picture are recognised by."""

    path: Path
    image: Tensor
    """(H, W) uint8 luma, the longer side 320."""
    thumbnail: Tensor
    """(20, 20), the whole picture, of mean 0 and norm 1."""
    sure: Features
    """Each blob once."""
    all: Features
    """Blobs with several possible canonical positions once in each."""


def take_fingerprint(path: Path) -> Fingerprint | None:
    """Return the fingerprint of a picture file; None when it cannot be read."""
    try:
        pixels = to_depth(read_photo(path).pixels, np.dtype(np.uint8))
    except ImageError:
        return None
    colour = torch.from_numpy(np.ascontiguousarray(pixels)).float()
    grey = (colour @ torch.tensor(BT601))[None, None]
    scale = LONG_SIDE / max(grey.shape[2:])
    size = [max(16, round(length * scale)) for length in grey.shape[2:]]
    small = F.interpolate(grey, size, mode="bilinear", antialias=True)
    thumbnail = F.interpolate(small, (THUMBNAIL, THUMBNAIL), mode="area")[0, 0]
    patches, places = _blobs(small)
    return Fingerprint(
        path,
        small[0, 0].round().byte(),
        _standardised(thumbnail),
        _described(patches, places, doubt=0.0),
        _described(patches, places, doubt=DOUBT),
    )


def turned(values: Tensor, turns: int, mirrored: bool) -> Tensor:
    """(..., H, W) turned by quarters and then mirrored."""
    values = torch.rot90(values, turns, (-2, -1))
    return values.flip(-1) if mirrored else values


def gaussian(image: Tensor, sigma: float) -> Tensor:
    """Blur (1, 1, H, W)."""
    radius = min(round(3 * sigma), min(image.shape[2:]) - 1)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum())[None, None, None]
    rows = F.conv2d(F.pad(image, (radius, radius, 0, 0), mode="replicate"), kernel)
    return F.conv2d(F.pad(rows, (0, 0, radius, radius), mode="replicate"), kernel.transpose(2, 3))


def _blobs(image: Tensor) -> tuple[Tensor, Tensor]:
    """Patches around the strongest blobs of an image, (1, 1, H, W) -> (K, GRID + 2, GRID + 2), (K, 3)."""
    height, width = image.shape[2:]
    levels = [gaussian(image, SIGMAS[0])]
    for before, after in pairwise(SIGMAS):
        levels.append(gaussian(levels[-1], (after**2 - before**2) ** 0.5))
    blurred = torch.cat(levels, 1)[0]  # (L, H, W)
    signed = blurred[1:] - blurred[:-1]
    strength = signed.abs()
    # The highest of 3 x 3 positions and 3 levels; in one step, max_pool3d, it takes several times as long.
    around = F.max_pool2d(strength, 3, 1, 1)
    around[1:-1] = torch.maximum(torch.maximum(around[:-2], around[2:]), around[1:-1])
    peaks = (around == strength) & (strength > 0.5)
    peaks[0], peaks[-1] = False, False
    peaks[:, [0, -1]] = False
    peaks[:, :, [0, -1]] = False
    level, row, column = peaks.nonzero().T
    here = signed[level, row, column]
    # Along an edge a blob may lie anywhere: it must be curved in both directions (Lowe, 2004).
    down = signed[level, row + 1, column] + signed[level, row - 1, column] - 2 * here
    right = signed[level, row, column + 1] + signed[level, row, column - 1] - 2 * here
    cross = (
        signed[level, row + 1, column + 1]
        + signed[level, row - 1, column - 1]
        - signed[level, row + 1, column - 1]
        - signed[level, row - 1, column + 1]
    ) / 4
    curved = down * right - cross.square()
    round_enough = (down + right).square() * 10 < curved * 11**2
    above, below = strength[level + 1, row, column], strength[level - 1, row, column]
    bend = (2 * here.abs() - above - below).clamp_min(1e-6)
    finer = level + ((above - below) / (2 * bend)).clamp(-0.5, 0.5)
    sigma = SIGMAS[0] * 2 ** (finer / 3)
    y = row + ((signed[level, row + 1, column] - signed[level, row - 1, column]) / (-2 * down)).clamp(
        -0.5, 0.5
    )
    x = column + ((signed[level, row, column + 1] - signed[level, row, column - 1]) / (-2 * right)).clamp(
        -0.5, 0.5
    )
    reach = 0.4 * GRID * sigma  # nearly the whole patch must lie inside
    inside = (y > reach) & (y < height - 1 - reach) & (x > reach) & (x < width - 1 - reach)
    good = (round_enough & inside).nonzero().flatten()
    good = good[here[good].abs().argsort(descending=True)[:FEATURES]]
    places = torch.stack([y, x, sigma], 1)[good]
    return _patches(blurred, level[good], places), places


def _patches(blurred: Tensor, level: Tensor, places: Tensor) -> Tensor:
    """Samples around places, from the level each belongs to: (L, H, W) -> (K, GRID + 2, GRID + 2)."""
    offset = torch.arange(GRID + 2) - (GRID + 1) / 2
    y = places[:, :1] + places[:, 2:] * offset  # (K, G)
    x = places[:, 1:2] + places[:, 2:] * offset
    height, width = blurred.shape[1:]
    y, x = y.clamp(0, height - 1)[:, :, None], x.clamp(0, width - 1)[:, None, :]
    top, left = y.floor().long().clamp_max(height - 2), x.floor().long().clamp_max(width - 2)
    down, right = y - top, x - left
    at = level[:, None, None]
    upper = blurred[at, top, left] * (1 - right) + blurred[at, top, left + 1] * right
    lower = blurred[at, top + 1, left] * (1 - right) + blurred[at, top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def _described(patches: Tensor, places: Tensor, doubt: float) -> Features:
    """Turn each patch so that it is brightest to the right, then below; describe it by its gradients."""
    flat = _standardised(patches)
    ramp = torch.arange(GRID + 2) - (GRID + 1) / 2
    ramp = ramp / ramp.norm() / (GRID + 2) ** 0.5
    right, down = (flat * ramp).sum((1, 2)), (flat * ramp[:, None]).sum((1, 2))  # (K,) in -1..1
    owners, symmetries, chosen = [], [], []
    for index, (turns, mirrored) in enumerate(SYMMETRIES):
        # Where the two imbalances go when the patch is turned, by turning a pattern that is made of them.
        x, y = right, down
        for _ in range(turns):
            x, y = y, -x
        x = -x if mirrored else x
        fits = ((x > -doubt) & (y > -doubt) & (x - y > -doubt)).nonzero().flatten()
        owners.append(fits)
        symmetries.append(torch.full_like(fits, index))
        chosen.append(turned(patches[fits], turns, mirrored))
    owner = torch.cat(owners)
    return Features(_gradients(torch.cat(chosen)), places[owner], torch.cat(symmetries))


def _gradients(patches: Tensor) -> Tensor:
    """(K, GRID + 2, GRID + 2) -> (K, D): sums of the gradients in each direction, by cell, limited."""
    across = (patches[:, 1:-1, 2:] - patches[:, 1:-1, :-2]) / 2
    down = (patches[:, 2:, 1:-1] - patches[:, :-2, 1:-1]) / 2
    parts = torch.stack([across.clamp_min(0), -across.clamp_max(0), down.clamp_min(0), -down.clamp_max(0)], 1)
    cells = F.avg_pool2d(parts, GRID // CELLS).flatten(1)
    # The square root lets no single strong edge decide.
    return F.normalize(cells.sqrt(), dim=1)


def _standardised(values: Tensor) -> Tensor:
    """Mean 0 and norm 1 over the last two dimensions."""
    centred = values - values.mean((-2, -1), keepdim=True)
    norm: Tensor = centred.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-6)
    return centred / norm

"""Pictures of one folder that show what pictures of another show: turned, mirrored, resized, recompressed or
cropped copies.

Two searches. Thumbnails, compared under all eight symmetries, find whole copies, also of pictures with little
in them. Patches around blobs, whose size is found with them, find crops: matches must agree on one place and
one scale. Whatever is found is laid over its counterpart and believed only when the fine structure agrees.

Shapes: H x W of a small picture, K patches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.errors import ImageError
from clearair.image import read_photo, to_depth

LONG_SIDE = 256
"""Longer side that every picture is looked at with."""
THUMBNAIL = 20
ALIKE = 0.93
"""Correlation of thumbnails that makes a candidate."""
PATCHES = 40
"""Of each picture, at its strongest blobs."""
GRID = 8
"""Samples along a patch, two deviations of the blob apart."""
MATCH = 0.9
"""Correlation of patches that makes a match."""
AGREEING = 4
"""Matches that must agree on place and scale to make a candidate."""
SAME = 0.7
"""Correlation of fine structure, laid over each other, from which on two pictures are one."""
SIGMAS = tuple(1.6 * 2 ** (k / 2) for k in range(8))

SYMMETRIES = tuple((turns, mirrored) for mirrored in (False, True) for turns in range(4))


@dataclass(frozen=True)
class Leak:
    """Two pictures that show the same."""

    train: Path
    test: Path
    how: str
    """What the training picture is of the other, such as "mirrored, cropped"; "" for a plain copy."""
    agreement: float
    """Correlation of their fine structure."""


@dataclass(frozen=True, eq=False)
class Look:
    """What is remembered of a picture."""

    path: Path
    image: Tensor
    """(H, W) uint8 luma, the longer side 256."""
    thumbnail: Tensor
    """(20, 20), the whole picture, of mean 0 and norm 1."""
    patches: Tensor
    """(K, 8, 8), each of mean 0 and norm 1."""
    places: Tensor
    """(K, 3): row, column, and size of each blob."""


def find_leaks(
    train: Sequence[Look], test: Sequence[Look], on_done: Callable[[int, int], None] | None = None
) -> list[Leak]:
    """Training pictures that are copies or parts of test pictures, or contain them."""
    leaks: dict[tuple[Path, Path], Leak] = {}
    turned = [[_turned(look, *symmetry) for look in test] for symmetry in SYMMETRIES]
    for start in range(0, len(train), 16):
        some = train[start : start + 16]
        for symmetry, looks in zip(SYMMETRIES, turned, strict=True):
            for one, other, guess in _candidates(some, looks):
                leak = _verified(one, other, guess, symmetry)
                key = (one.path, other.path)
                if leak and (key not in leaks or leak.agreement > leaks[key].agreement):
                    leaks[key] = leak
        if on_done:
            on_done(min(start + 16, len(train)), len(train))
    return sorted(leaks.values(), key=lambda leak: (leak.train, leak.test))


def look_at(path: Path) -> Look | None:
    """Read a picture and remember it; None when it cannot be read."""
    try:
        pixels = to_depth(read_photo(path).pixels, np.dtype(np.uint8))
    except ImageError:
        return None
    colour = torch.from_numpy(np.ascontiguousarray(pixels)).float()
    grey = (colour @ torch.tensor([0.299, 0.587, 0.114]))[None, None]
    scale = LONG_SIDE / max(grey.shape[2:])
    size = [max(16, round(length * scale)) for length in grey.shape[2:]]
    small = F.interpolate(grey, size, mode="bilinear", antialias=True)
    thumbnail = F.interpolate(small, (THUMBNAIL, THUMBNAIL), mode="area")[0, 0]
    patches, places = _blobs(small)
    return Look(path, small[0, 0].round().byte(), _standardised(thumbnail), patches, places)


def _candidates(train: Sequence[Look], test: Sequence[Look]) -> list[tuple[Look, Look, Tensor]]:
    """Pairs that may be one, with the scale and the shift (row, column) from train to test."""
    found: list[tuple[Look, Look, Tensor]] = []
    if not train or not test:
        return found
    alike = torch.stack([one.thumbnail for one in train]).flatten(1) @ (
        torch.stack([other.thumbnail for other in test]).flatten(1).T
    )
    for i, j in (alike > ALIKE).nonzero().tolist():
        size, target = (torch.tensor(look.image.shape).float() for look in (train[i], test[j]))
        found.append((train[i], test[j], torch.tensor([float((target / size).mean()), 0.0, 0.0])))
    ours, theirs = (torch.cat([look.patches for look in looks]).flatten(1) for looks in (train, test))
    our_owner, their_owner = (
        torch.repeat_interleave(torch.arange(len(looks)), torch.tensor([len(look.patches) for look in looks]))
        for looks in (train, test)
    )
    our_place, their_place = (torch.cat([look.places for look in looks]) for looks in (train, test))
    a, b = (ours @ theirs.T > MATCH).nonzero().T
    pair = our_owner[a] * len(test) + their_owner[b]
    for index in (torch.bincount(pair, minlength=1) >= AGREEING).nonzero().flatten().tolist():
        mine, yours = our_place[a[pair == index]], their_place[b[pair == index]]
        guess = _agreed(mine, yours)
        if guess is not None:
            found.append((train[index // len(test)], test[index % len(test)], guess))
    return found


def _agreed(mine: Tensor, yours: Tensor) -> Tensor | None:
    """Scale, row and column that at least `AGREEING` matches agree on, by least squares; else None."""
    scale = yours[:, 2] / mine[:, 2]  # (K,), one guess a match
    shift = yours[:, :2] - scale[:, None] * mine[:, :2]
    there = scale[:, None, None] * mine[None, :, :2] + shift[:, None]  # (K guesses, K matches, 2)
    near = (there - yours[None, :, :2]).norm(dim=2) < 0.06 * LONG_SIDE
    near &= (scale[None] / scale[:, None]).log2().abs() < 0.6
    best = near[near.sum(1).argmax()]
    # Matches of one spot with itself at several sizes count once.
    spots = {tuple(place) for place in (mine[best, :2] / 6).round().int().tolist()}
    if len(spots) < AGREEING:
        return None
    a, b = mine[best, :2], yours[best, :2]
    centred = a - a.mean(0)
    fitted = (centred * (b - b.mean(0))).sum() / centred.square().sum().clamp_min(1e-6)
    if not 0.2 < float(fitted) < 5:
        return None
    return torch.cat([fitted[None], b.mean(0) - fitted * a.mean(0)])


def _verified(one: Look, other: Look, guess: Tensor, symmetry: tuple[int, bool]) -> Leak | None:
    """Lay the two over each other, near the guess, and compare their fine structure."""
    mine, yours = one.image.float(), other.image.float()
    best, best_scale = 0.0, 1.0
    scale, top, left = guess.tolist()
    for factor in (0.985, 1.0, 1.015):
        agreement = _agreement(mine, yours, scale * factor, top, left, scale)
        if agreement > best:
            best, best_scale = agreement, scale * factor
    if best < SAME:
        return None
    whole = all(
        abs(best_scale * length / target - 1) < 0.06
        for length, target in zip(mine.shape, yours.shape, strict=True)
    )
    turns, mirrored = symmetry
    words = ["mirrored"] if mirrored else []
    words += [f"turned by {90 * turns} degrees"] if turns else []
    words += [] if whole else ["cropped"]
    return Leak(one.path, other.path, ", ".join(words), round(best, 3))


def _agreement(mine: Tensor, yours: Tensor, scale: float, top: float, left: float, guessed: float) -> float:
    """Correlation of fine structure over what both show, at the best shift nearby."""
    height, width = mine.shape
    top, left = top + (guessed - scale) * height / 2, left + (guessed - scale) * width / 2  # about the middle
    size = (max(8, round(height * scale)), max(8, round(width * scale)))
    laid = F.interpolate(mine[None, None], size, mode="bilinear", antialias=True)[0, 0]
    y, x = round(top), round(left)
    rows = slice(max(0, y), min(yours.shape[0], y + size[0]))
    columns = slice(max(0, x), min(yours.shape[1], x + size[1]))
    if rows.stop - rows.start < 32 or columns.stop - columns.start < 32:
        return 0.0
    a = _fine(laid)[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    b = _fine(yours)[rows, columns]
    # All shifts at once in the frequency domain; what wraps around the border costs a little of the peak.
    a, b = ((part - part.mean()) / part.std().clamp_min(1e-3) for part in (a, b))
    product = torch.fft.irfft2(torch.fft.rfft2(a).conj() * torch.fft.rfft2(b), s=a.shape) / a.numel()
    reach = 8
    near = torch.cat([product[:reach], product[-reach:]])
    near = torch.cat([near[:, :reach], near[:, -reach:]], 1)
    return float(near.max())


def _fine(image: Tensor) -> Tensor:
    """Structure between 2 and 8 pixels, (H, W) -> (H, W), limited so that no single edge decides."""
    band = (_gaussian(image[None, None], 1.5) - _gaussian(image[None, None], 5.0))[0, 0]
    return (band / (band.std() + 1e-3)).clamp(-3, 3)


def _blobs(image: Tensor) -> tuple[Tensor, Tensor]:
    """Patches around the strongest blobs of an image, (1, 1, H, W) -> (K, 8, 8), (K, 3)."""
    height, width = image.shape[2:]
    blurred = torch.cat([_gaussian(image, sigma) for sigma in SIGMAS], 1)[0]  # (8, H, W)
    difference = (blurred[1:] - blurred[:-1]).abs()
    peaks = F.max_pool3d(difference[None, None], 3, 1, 1)[0, 0] == difference
    level, row, column = (peaks & (difference > 1.5))[:-1].nonzero().T
    sigma = torch.tensor(SIGMAS)[level]
    reach = GRID * sigma * 0.9  # nearly the whole patch must lie inside
    inside = (row > reach) & (row < height - reach) & (column > reach) & (column < width - reach)
    level, row, column, sigma = level[inside], row[inside], column[inside], sigma[inside]
    strongest = difference[level, row, column].argsort(descending=True)[:PATCHES]
    level, row, column, sigma = (each[strongest] for each in (level, row, column, sigma))
    offset = (torch.arange(GRID) - (GRID - 1) / 2) * 2
    y = row[:, None, None] + sigma[:, None, None] * offset[:, None]
    x = column[:, None, None] + sigma[:, None, None] * offset
    rows = y.expand(-1, -1, GRID).round().long().clamp(0, height - 1)
    columns = x.expand(-1, GRID, -1).round().long().clamp(0, width - 1)
    patches = blurred[level[:, None, None], rows, columns]
    return _standardised(patches), torch.stack([row.float(), column.float(), sigma], 1)


def _turned(look: Look, turns: int, mirrored: bool) -> Look:
    """The look at a picture that was turned by quarters and then mirrored."""
    height, width = look.image.shape
    row, column, size = look.places.T
    image, thumbnail, patches = look.image, look.thumbnail, look.patches
    for _ in range(turns):
        row, column = width - 1 - column, row
        height, width = width, height
    image, thumbnail, patches = (torch.rot90(part, turns, (-2, -1)) for part in (image, thumbnail, patches))
    if mirrored:
        column = width - 1 - column
        image, thumbnail, patches = (part.flip(-1) for part in (image, thumbnail, patches))
    return Look(look.path, image, thumbnail, patches, torch.stack([row, column, size], 1))


def _gaussian(image: Tensor, sigma: float) -> Tensor:
    radius = min(round(3 * sigma), min(image.shape[2:]) - 1)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum())[None, None, None]
    rows = F.conv2d(F.pad(image, (radius, radius, 0, 0), mode="replicate"), kernel)
    return F.conv2d(F.pad(rows, (0, 0, radius, radius), mode="replicate"), kernel.transpose(2, 3))


def _standardised(values: Tensor) -> Tensor:
    """Mean 0 and norm 1 over the last two dimensions."""
    centred = values - values.mean((-2, -1), keepdim=True)
    norm: Tensor = centred.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-6)
    return centred / norm

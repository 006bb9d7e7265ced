"""Pictures of one folder that show what pictures of another show: turned, mirrored, resized, recompressed or
cropped copies.

Two searches. Thumbnails, compared under all eight symmetries, find whole copies, also of pictures with little
in them. Features around blobs find crops: matches must agree on one symmetry, place and scale. Whatever is
found is laid over its counterpart, and believed only when the fine structure agrees all over what both show.

Shapes: H x W of a small picture, K features, M matches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.fingerprints import SYMMETRIES, Fingerprint, gaussian, turned

ALIKE = 0.93
"""Correlation of thumbnails that makes a candidate."""
MATCH = 0.92
"""Similarity of descriptions that makes a match."""
AGREEING = 4
"""Matches that must agree on place and scale to make a candidate."""
FEW = 120
"""Features below which a picture has too few for that; then `AGREEING_OF_FEW` must. Of more they would make
candidates of pictures that have nothing in common."""
AGREEING_OF_FEW = 2
SURE = 0.9
"""Agreement of the fine structure that makes up for having fewer than `AGREEING` matches."""
NEAR = 10.0
"""Pixels that agreeing matches may be away from the same place."""
SAME = 0.8
"""Correlation of the fine structure of whole pictures from which on two are one."""
CELL = 16
"""Pixels along the squares in which cropped pictures are compared."""
FEWEST_CELLS = 5
"""Squares with structure in both directions by which a crop can be told."""
OVERLAP = 0.4
"""Share that both show of the one of which they show more."""


@dataclass(frozen=True)
class Leak:
    """Two pictures that show the same."""

    train: Path
    test: Path
    how: str
    """What the training picture is of the other, such as "mirrored, cropped"; "" for a plain copy."""
    agreement: float
    """Of their fine structure, at most 1."""


@dataclass(frozen=True)
class _Laid:
    """How a picture lies over another: y = scale * x + shift for rows and columns, after a symmetry."""

    symmetry: int
    scale: float
    top: float
    left: float
    whole: bool = False
    """Whether both show the same, no more and no less."""
    spots: int = AGREEING
    """Places that agree on it."""

    def inverse(self) -> _Laid:
        """How the other lies over this one, which stays turned."""
        top, left = -self.top / self.scale, -self.left / self.scale
        return replace(self, scale=1 / self.scale, top=top, left=left)


def find_leaks(
    train: Sequence[Fingerprint],
    test: Sequence[Fingerprint],
    on_done: Callable[[int, int], None] | None = None,
) -> list[Leak]:
    """Training pictures that are copies or parts of test pictures, or contain them.

    Each is compared with each: about 1 ms a pair on one core.
    """
    leaks: dict[tuple[Path, Path], Leak] = {}
    for start in range(0, len(train), 16):
        some = train[start : start + 16]
        for one, other, laid in (*_alike(some, test), *_matching(some, test)):
            key = (one.path, other.path)
            if key not in leaks and (leak := _verified(one, other, laid)):
                leaks[key] = leak
        if on_done:
            on_done(min(start + 16, len(train)), len(train))
    return sorted(leaks.values(), key=lambda leak: (leak.train, leak.test))


def _alike(
    train: Sequence[Fingerprint], test: Sequence[Fingerprint]
) -> Iterator[tuple[Fingerprint, Fingerprint, _Laid]]:
    """Pairs that may be copies as a whole."""
    if not train or not test:
        return
    theirs = torch.stack([other.thumbnail for other in test]).flatten(1)
    for index, symmetry in enumerate(SYMMETRIES):
        ours = torch.stack([turned(one.thumbnail, *symmetry) for one in train]).flatten(1)
        for i, j in (ours @ theirs.T > ALIKE).nonzero().tolist():
            size = torch.tensor(turned(train[i].image, *symmetry).shape)
            scale = torch.tensor(test[j].image.shape) / size
            if scale.max() < 1.1 * scale.min():
                yield train[i], test[j], _Laid(index, float(scale.mean()), 0.0, 0.0, whole=True)


def _matching(
    train: Sequence[Fingerprint], test: Sequence[Fingerprint]
) -> Iterator[tuple[Fingerprint, Fingerprint, _Laid]]:
    """Pairs with features in common that agree on how one lies over the other."""
    if not train or not test:
        return
    ours = torch.cat([look.sure.descriptions for look in train])
    owner = _owners([len(look.sure.descriptions) for look in train])
    first = _starts([len(look.sure.descriptions) for look in train])
    needed = torch.tensor([[_needed(one, other) for other in test] for one in train])
    for start in range(0, len(test), 32):
        some = test[start : start + 32]
        counts = [len(look.all.descriptions) for look in some]
        theirs, their_first = _owners(counts), _starts(counts)
        a, b = _matches(ours, torch.cat([look.all.descriptions for look in some]))
        pair = owner[a] * len(some) + theirs[b]
        enough = torch.bincount(pair, minlength=1)[pair] >= needed[owner[a], start + theirs[b]]
        a, b, pair = a[enough], b[enough], pair[enough]
        for index in sorted(set(pair.tolist())):
            one, other = train[index // len(some)], some[index % len(some)]
            mine = a[pair == index] - first[index // len(some)]
            yours = b[pair == index] - their_first[index % len(some)]
            laid = _agreed(one, other, mine, yours)
            if laid is not None:
                yield one, other, laid


def _matches(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """(K, D), (L, D) -> which of ours (M,) and which of theirs (M,) are alike."""
    found = [(torch.empty(0, dtype=torch.long),) * 2]
    # What is compared at once stays in the processor's cache.
    for start in range(0, len(ours) if len(theirs) else 0, 256):
        alike = ours[start : start + 256] @ theirs.T
        rows = (alike.amax(1) > MATCH).nonzero().flatten()  # few; only these are searched through
        row, column = (alike[rows] > MATCH).nonzero().T
        found.append((start + rows[row], column))
    a, b = zip(*found, strict=True)
    return torch.cat(a), torch.cat(b)


def _needed(one: Fingerprint, other: Fingerprint) -> int:
    """Matches that must agree."""
    fewer = min(len(one.sure.places), len(other.sure.places))
    return AGREEING if fewer >= FEW else AGREEING_OF_FEW


def _owners(counts: list[int]) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def _starts(counts: list[int]) -> Tensor:
    return torch.tensor([0, *counts[:-1]]).cumsum(0)


def _agreed(one: Fingerprint, other: Fingerprint, mine: Tensor, yours: Tensor) -> _Laid | None:
    """How one lies over the other, by least squares over the most matches that agree; else None."""
    # Both patches were brought into the same position, so the pictures differ by the one and not the other.
    symmetry = _BETWEEN[one.sure.symmetries[mine], other.all.symmetries[yours]]  # (M,)
    needed = _needed(one, other)
    best: tuple[int, _Laid] | None = None
    for index in sorted(set(symmetry.tolist())):
        chosen = symmetry == index
        if int(chosen.sum()) < needed:
            continue
        a = _turned_places(one.sure.places[mine[chosen]], tuple(one.image.shape), index)
        b = other.all.places[yours[chosen]]
        scale = b[:, 2] / a[:, 2]  # (M,), one guess a match
        shift = b[:, :2] - scale[:, None] * a[:, :2]
        there = scale[:, None, None] * a[None, :, :2] + shift[:, None]  # (M guesses, M matches, 2)
        near = (there - b[None, :, :2]).norm(dim=2) < NEAR
        near &= (scale[None] / scale[:, None]).log2().abs() < 0.4
        agreeing = near[near.sum(1).argmax()]
        a, b = a[agreeing], b[agreeing]
        # Matches of one spot with itself at several sizes count once, and so do those of several with one.
        spots = min(len({tuple(place) for place in (c[:, :2] / 6).round().int().tolist()}) for c in (a, b))
        if spots < needed or (best is not None and spots <= best[0]):
            continue
        centred = a[:, :2] - a[:, :2].mean(0)
        spread = float(centred.square().sum())
        fitted = float((centred * (b[:, :2] - b[:, :2].mean(0))).sum()) / max(spread, 1e-6)
        if 0.2 < fitted < 5 and spread > 100:
            top, left = (b[:, :2].mean(0) - fitted * a[:, :2].mean(0)).tolist()
            best = spots, _Laid(index, fitted, top, left, spots=spots)
    return None if best is None else best[1]


def _turned_places(places: Tensor, size: tuple[int, ...], symmetry: int) -> Tensor:
    """Where blobs are, (K, 3), when their picture is turned and mirrored."""
    turns, mirrored = SYMMETRIES[symmetry]
    row, column, sigma = places.T
    height, width = size
    for _ in range(turns):
        row, column = width - 1 - column, row
        height, width = width, height
    if mirrored:
        column = width - 1 - column
    return torch.stack([row, column, sigma], 1)


def _between() -> Tensor:
    """(8, 8): how a picture was turned when one symmetry makes of it what another makes of the copy."""
    marks = torch.arange(4).view(2, 2)
    table = torch.zeros(8, 8, dtype=torch.long)
    for ours, first in enumerate(SYMMETRIES):
        for theirs, second in enumerate(SYMMETRIES):
            for index, symmetry in enumerate(SYMMETRIES):
                if torch.equal(turned(turned(marks, *symmetry), *second), turned(marks, *first)):
                    table[ours, theirs] = index
    return table


_BETWEEN = _between()


def _verified(one: Fingerprint, other: Fingerprint, laid: _Laid) -> Leak | None:
    """Lay the two over each other and compare their fine structure."""
    mine = turned(one.image, *SYMMETRIES[laid.symmetry]).float()
    yours = other.image.float()
    if laid.whole:
        agreement = _whole_agreement(mine, yours)
        if agreement < SAME:
            return None
    else:
        found = _part_agreement(mine, yours, laid)
        if laid.spots < AGREEING:
            if found is None:  # at the size of the one there may be too few squares
                back = _part_agreement(yours, mine, laid.inverse())
                found = back and (back[0], back[1].inverse())
            if found is not None and found[0] < SURE:
                return None
        if found is None:
            return None
        agreement, laid = found
    whole = laid.whole or all(
        abs(laid.scale * length / target - 1) < 0.06
        for length, target in zip(mine.shape, yours.shape, strict=True)
    )
    turns, mirrored = SYMMETRIES[laid.symmetry]
    words = ["mirrored"] if mirrored else []
    words += [f"turned by {90 * turns} degrees"] if turns else []
    words += [] if whole else ["cropped"]
    return Leak(one.path, other.path, ", ".join(words), round(agreement, 3))


def _whole_agreement(mine: Tensor, yours: Tensor) -> float:
    """Correlation of the fine structure of two whole pictures, at the best small shift."""
    size = yours.shape
    laid = F.interpolate(mine[None, None], size, mode="bilinear", antialias=True)[0, 0]
    a, b = _fine(laid)[2:-2, 2:-2], _fine(yours)
    best = 0.0
    for down in range(5):
        for right in range(5):
            shifted = b[down : down + a.shape[0], right : right + a.shape[1]]
            best = max(best, float((a * shifted).sum() / (a.norm() * shifted.norm()).clamp_min(1e-3)))
    return best


def _part_agreement(mine: Tensor, yours: Tensor, laid: _Laid) -> tuple[float, _Laid] | None:
    """Median agreement of the squares, and how the one lies over the other at best; None when too little."""
    found: tuple[float, _Laid] | None = None
    for _ in range(3):  # each time the squares say how the one lies better
        squares = _squares(mine, yours, laid)
        if squares is None:
            return None
        agreement, moved, centres = squares
        median = float(agreement.median())
        # The fewer squares there are, the better must they agree.
        if median >= max(0.7, 1.1 - 0.04 * len(agreement)) and (found is None or median > found[0]):
            found = median, laid
        good = agreement >= median
        if int(good.sum()) < 3:
            break
        before = (centres[good] - torch.tensor([laid.top, laid.left])) / laid.scale
        after = centres[good] + moved[good]
        centred = before - before.mean(0)
        scale = float((centred * (after - after.mean(0))).sum() / centred.square().sum().clamp_min(1e-6))
        if not 0.9 < scale / laid.scale < 1.1:
            break
        top, left = (after.mean(0) - scale * before.mean(0)).tolist()
        laid = replace(laid, scale=scale, top=top, left=left)
    return found


def _squares(mine: Tensor, yours: Tensor, laid: _Laid) -> tuple[Tensor, Tensor, Tensor] | None:
    """Of the squares with structure in both directions, S of them: (S,) correlation at the best small shift,
    (S, 2) that shift, and (S, 2) the centres in `yours`; None where both show too little."""
    height, width = mine.shape
    size = (max(8, round(height * laid.scale)), max(8, round(width * laid.scale)))
    over = F.interpolate(mine[None, None], size, mode="bilinear", antialias=True)[0, 0]
    y, x = round(laid.top), round(laid.left)
    rows = slice(max(0, y), min(yours.shape[0], y + size[0]))
    columns = slice(max(0, x), min(yours.shape[1], x + size[1]))
    tall, wide = rows.stop - rows.start, columns.stop - columns.start
    if min(tall, wide) < 3 * CELL or tall * wide < OVERLAP * min(over.numel(), yours.numel()):
        return None
    a = _fine(over)[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    b = _fine(yours)[rows, columns]
    reach = 3
    down, right = (tall - 2 * reach) // CELL, (wide - 2 * reach) // CELL

    def cells(image: Tensor, dy: int, dx: int) -> Tensor:  # (S, CELL * CELL), of mean 0
        part = image[reach + dy :, reach + dx :][: down * CELL, : right * CELL]
        flat = part.reshape(down, CELL, right, CELL).transpose(1, 2).reshape(down * right, CELL * CELL)
        return flat - flat.mean(1, keepdim=True)

    structured = _cornered(cells(a, 0, 0)) & _cornered(cells(b, 0, 0))
    if int(structured.sum()) < FEWEST_CELLS:
        return None
    ours = F.normalize(cells(a, 0, 0)[structured], dim=1)
    shifts = [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    each = torch.stack([(ours * F.normalize(cells(b, *shift)[structured], dim=1)).sum(1) for shift in shifts])
    agreement, which = each.max(0)
    corner = torch.cartesian_prod(torch.arange(down), torch.arange(right))[structured] * float(CELL)
    centres = corner + CELL / 2 + reach + torch.tensor([rows.start, columns.start])
    return agreement, torch.tensor(shifts).float()[which], centres


def _cornered(cells: Tensor) -> Tensor:
    """(S, CELL * CELL) -> (S,) whether there is structure in both directions: a lone edge fits any other."""
    square = cells.view(-1, CELL, CELL)
    down = (square[:, 1:, :-1] - square[:, :-1, :-1]).flatten(1)
    right = (square[:, :-1, 1:] - square[:, :-1, :-1]).flatten(1)
    yy, xx, yx = down.square().mean(1), right.square().mean(1), (down * right).mean(1)
    half = (yy + xx) / 2
    weaker = half - ((yy - xx).square() / 4 + yx.square()).sqrt()
    return (weaker > 0.15 * half) & (weaker > 0.01)


def _fine(image: Tensor) -> Tensor:
    """Structure between 2 and 8 pixels, (H, W) -> (H, W), limited so that no single edge decides."""
    band = (gaussian(image[None, None], 1.5) - gaussian(image[None, None], 5.0))[0, 0]
    return (band / (band.std() + 0.5)).clamp(-3, 3)

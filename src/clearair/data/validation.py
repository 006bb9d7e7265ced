"""Pictures to validate on: crops of held-out photographs, damaged in every way that is trained on.

A pure function of the files, so that any two networks meet the same pixels.

Shapes: B views, V = side of a view.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.degradations import KINDS, degrade, degrade_in_parts
from clearair.data.mixtures import MIXTURES
from clearair.data.pairfiles import load_pair
from clearair.data.photos import find_clean, find_pairs
from clearair.data.pixels import load_pixels, quantized
from clearair.data.splits import held_out
from clearair.errors import DataError, UsageError
from clearair.kinds import PAIRED

OWN = "own pairs"
"""The set of held-out pairs of the user's own."""
OWN_STEP = 8
"""Every n-th of them is held out, the first included."""
REAL = {f"real {kind}": kind for kind in PAIRED}
"""Sets of really damaged photographs, and the folder below `train` that holds them."""
VALIDATION_KINDS = (*KINDS, "mixture", "regional", "clean", *REAL)
"""Every set, in the order of tables."""


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """Views with one kind of damage, both (B, 3, V, V) in [0, 1], with values that an 8-bit file can hold."""

    kind: str
    damaged: Tensor
    clean: Tensor
    names: tuple[str, ...]
    """Where each view comes from, as a path below `train`."""


def validation_sets(
    data: Path, *, views: int = 12, side: int = 256, kinds: Sequence[str] | None = None
) -> list[ValidationSet]:
    """The sets of the given kinds (all by default), of `views` views each, of `side` pixels a side.

    A single kind has the strengths (i + 0.5) / views, so that few views cover the whole range. There is one
    view of each really damaged pair, at most `views`; a set without any pair is left out.

    Raises UsageError for an unknown kind, DataError when there are no photographs.
    """
    wanted = VALIDATION_KINDS if kinds is None else tuple(kinds)
    for kind in wanted:
        if kind not in VALIDATION_KINDS:
            raise UsageError(f"There is no validation set {kind!r}; known are {', '.join(VALIDATION_KINDS)}.")
    root = data / "train"
    apart = held_out(data)
    photos = apart.split(find_clean(data), "clean")[1]
    sets = []
    for kind in wanted:
        if kind in REAL:
            pairs = apart.split(find_pairs(data, REAL[kind]), REAL[kind])[1]
            made = _real_set(kind, pairs, root, views, side)
        else:
            made = _made_set(kind, photos, root, views, side)
        sets += [made] if made.names else []
    if not sets:
        raise DataError(f"{root}: has no held-out pictures of {', '.join(wanted)}.")
    return sets


def _made_set(kind: str, photos: Sequence[Path], root: Path, views: int, side: int) -> ValidationSet:
    order = torch.randperm(len(photos), generator=_generator(kind, "order")).tolist()
    damaged, clean, names = [], [], []
    for index in range(views):
        path = photos[order[index % len(photos)]]
        generator = _generator(kind, index)
        view = _crop(load_pixels(path), side, generator)
        clean.append(view)
        damaged.append(_damage(view[None], kind, index, views, generator)[0])
        names.append(_name(path, root))
    return ValidationSet(kind, _on_grid(damaged, side), _on_grid(clean, side), tuple(names))


def own_set(pairs: Sequence[tuple[Path, Path]], *, views: int = 12, side: int = 256) -> ValidationSet:
    """One view of each held-out pair of the user's own, at most `views`.

    Views are no larger than the smallest of these pictures: enlarged damage looks unlike what is trained on.
    """
    return _real_set(OWN, pairs, Path(), views, side, enlarged=False)


def _name(path: Path, root: Path) -> str:
    """The path below a folder; the whole path of what lies elsewhere."""
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _damage(clean: Tensor, kind: str, index: int, views: int, generator: torch.Generator) -> Tensor:
    if kind == "clean":
        return clean
    if kind == "mixture":
        return degrade(clean, [MIXTURES[index % len(MIXTURES)]], generator).image
    if kind == "regional":
        # Every kind meets every other one sooner or later; each third time it meets what is not damaged.
        first = index % len(KINDS)
        second = (first + 1 + index // len(KINDS) + index % 3) % len(KINDS)
        other = () if index % 3 == 0 or second == first else (KINDS[second],)
        return degrade_in_parts(clean, [(KINDS[first],)], [other], generator).image
    return degrade(clean, [(kind,)], generator, (index + 0.5) / views).image


def _real_set(
    kind: str,
    pairs: Sequence[tuple[Path, Path]],
    root: Path,
    views: int,
    side: int,
    *,
    enlarged: bool = True,
) -> ValidationSet:
    """One view of each pair; smaller pictures are enlarged, or else all views are as small as they."""
    cut = []
    for index, (dirty, target) in enumerate(pairs[:views]):
        pair = load_pair((dirty, target))
        both = torch.cat([pair.damaged, pair.clean])
        cut.append(_crop(both, side if enlarged else min(side, *both.shape[1:]), _generator(kind, index)))
    side = min([side, *(len(view[0]) for view in cut)])
    damaged, clean = ([view[half, :side, :side] for view in cut] for half in (slice(3), slice(3, 6)))
    names = tuple(_name(dirty, root) for dirty, _ in pairs[:views])
    return ValidationSet(kind, _on_grid(damaged, side), _on_grid(clean, side), names)


def _crop(photo: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """(C, H, W) uint8 -> (C, side, side) in [0, 1]: a window of it, or of a small one enlarged."""
    pixels = photo.float()
    if min(photo.shape[1:]) < side:
        scale = side / min(photo.shape[1:])
        size = (round(photo.shape[1] * scale), round(photo.shape[2] * scale))
        pixels = F.interpolate(pixels[None], size, mode="bicubic")[0].clamp_(0, 255).round_()
    top, left = (
        int(torch.randint(length - side + 1, (), generator=generator)) for length in pixels.shape[1:]
    )
    return pixels[:, top : top + side, left : left + side] / 255


def _on_grid(views: list[Tensor], side: int) -> Tensor:
    """(B, 3, side, side) as a file would hold them."""
    if not views:
        return torch.empty(0, 3, side, side)
    return quantized(torch.stack(views))


def _generator(kind: str, index: int | str) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(f"{kind} {index}".encode()))

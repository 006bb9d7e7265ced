"""Compares the strength of synthetic training damage with that of real pairs.

Shapes: N views, V = side of a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.blur_kernels import load_blur_kernels
from clearair.data.pairfiles import Pair
from clearair.data.pairs import Mix, draw_pairs, generator_for
from clearair.data.photos import TrainingPhotos, find_pairs, find_photos
from clearair.data.pixels import load_pixels, to_bytes
from clearair.data.scenes import find_scenes, load_scene
from clearair.data.splits import held_out
from clearair.kinds import NAMES, PAIRED
from clearair.similarity import psnr_each

PHOTOS = 64
"""Photographs that damage is drawn on, spread evenly over those that are trained on."""
BATCH = 16
SCALES = (0.4, 1.0)
"""Photographs are resized by a factor in this range, as in the recipes."""
QUANTILES = (0.05, 0.5, 0.95)
SHOWN = (6, 2)
"""Pictures of a kind on the contact sheet: synthetic and real ones."""


@dataclass(frozen=True, eq=False)
class KindOfDamage:
    """PSNR in dB of damaged pictures to the clean ones, and some of these pictures."""

    kind: str
    made: Tensor
    """(N,) of synthetic damage, as it is drawn in training."""
    real: Tensor
    """(M,) of the pairs in the data; empty where there are none."""
    examples: tuple[Tensor, ...]
    """(3, V, V) uint8 each: synthetic ones, then real ones."""


def describe(data: Path, *, views: int = 96, side: int = 160) -> list[KindOfDamage]:
    """Every kind of damage alone and everywhere, on photographs that look as they are.

    Nothing that is held out is looked at. Raises DataError when there are no photographs, and ImageError.
    """
    paths, _ = held_out(data).split(find_photos(data / "train" / "clean"), "clean")
    photos = TrainingPhotos(
        tuple(load_pixels(path) for path in paths[:: -(-len(paths) // PHOTOS)]),
        {},
        tuple(load_scene(photo, depth) for photo, depth in find_scenes(data)),
        load_blur_kernels(data),
    )
    return [_describe(kind, data, photos, views, side) for kind in NAMES]


def as_markdown(damage: Sequence[KindOfDamage]) -> str:
    """A table of the 5, 50 and 95 % quantiles."""
    lines = [
        "| PSNR of inputs, dB | synthetic 5 % | 50 % | 95 % | real 5 % | 50 % | 95 % | pairs |",
        "| --- " * 8 + "|",
    ]
    for kind in damage:
        cells = [kind.kind, *_quantiles(kind.made), *_quantiles(kind.real), str(len(kind.real))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def contact_sheet(damage: Sequence[KindOfDamage]) -> Tensor:
    """(3, H, W) uint8: a row of pictures for each kind, real ones at its end."""
    width = max(len(kind.examples) for kind in damage)
    rows = []
    for kind in damage:
        blank = torch.full_like(kind.examples[0], 255)
        padded = [*kind.examples, *[blank] * (width - len(kind.examples))]
        rows.append(torch.cat([F.pad(picture, (2, 2, 2, 2), value=255) for picture in padded], dim=2))
    return torch.cat(rows, dim=1)


def _describe(kind: str, data: Path, photos: TrainingPhotos, views: int, side: int) -> KindOfDamage:
    only = Mix(single={kind: 1.0}, clean=0.0, mixture=0.0, partial=0.0, looks=0.0, real={})
    made, shown = [], []
    for step in range(-(-views // BATCH)):
        count = min(BATCH, views - step * BATCH)
        pairs = draw_pairs(photos, only, count, side, SCALES, generator_for(0, step))
        made.append(_psnr(pairs.damaged, pairs.clean))
        shown += list(to_bytes(pairs.damaged))
    files, _ = held_out(data).split(find_pairs(data, kind), kind) if kind in PAIRED else ([], [])
    real = [Pair(load_pixels(damaged), load_pixels(clean)) for damaged, clean in files]
    values = [_psnr(pair.damaged[None] / 255, pair.clean[None] / 255) for pair in real]
    windows = [_window(pair.damaged, side) for pair in real[: SHOWN[1]]]
    examples = (*shown[: SHOWN[0]], *windows)
    return KindOfDamage(kind, torch.cat(made), torch.cat(values) if values else torch.empty(0), examples)


def _psnr(damaged: Tensor, clean: Tensor) -> Tensor:
    """(N, 3, H, W) twice -> (N,) in dB, at most 60."""
    return psnr_each(damaged, clean, most=60)


def _window(picture: Tensor, side: int) -> Tensor:
    """The middle of a picture, (3, side, side); one that is smaller is enlarged."""
    scale = max(1.0, side / min(picture.shape[1:]))
    if scale > 1:
        size = [max(side, round(length * scale)) for length in picture.shape[1:]]
        picture = F.interpolate(picture[None].float(), size, mode="bilinear")[0].round().to(torch.uint8)
    top, left = ((length - side) // 2 for length in picture.shape[1:])
    return picture[:, top : top + side, left : left + side]


def _quantiles(values: Tensor) -> list[str]:
    if not len(values):
        return ["-"] * len(QUANTILES)
    return [f"{float(values.quantile(at)):.1f}" for at in QUANTILES]

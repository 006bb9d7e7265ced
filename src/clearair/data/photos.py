"""The training photographs of a data folder, in memory.

Layout: `train/clean/**` photographs to damage; `train/lowlight/*/{input,target}` and
`train/rain/*/{input,target}` pairs, matched by stem; `train/depth` see `scenes`, `train/blur` see `shakes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clearair.data.splits import split
from clearair.errors import DataError
from clearair.image import SUFFIXES, read_photo
from clearair.image.libvips import libvips
from clearair.image.pillow import read_with_pillow


@dataclass(frozen=True)
class Pair:
    """A scene with and without real damage, both (3, H, W) uint8."""

    damaged: Tensor
    clean: Tensor


@dataclass(frozen=True)
class Scene:
    """A photograph and how far away everything in it is."""

    photo: Tensor
    """(3, H, W) uint8."""
    depth: Tensor
    """(1, H, W) uint8: distance, 255 is the farthest; 0 nowhere."""


@dataclass(frozen=True)
class TrainingPhotos:
    """Everything that is trained on, decoded once: 700 photographs of 0.35 megapixels take 0.7 GB."""

    clean: tuple[Tensor, ...]
    """(3, H, W) uint8 each."""
    pairs: dict[str, tuple[Pair, ...]]
    """Really damaged photographs, by kind of damage."""
    scenes: tuple[Scene, ...] = ()
    """Photographs whose depth was measured."""
    shakes: Tensor | None = None
    """(N, T, 3) paths of cameras that shook, measured: right, down, share of the time (`shakes`)."""

    def to(self, device: torch.device | str) -> TrainingPhotos:
        """Copy to a device, as bytes: what is drawn from them is then made there."""
        return TrainingPhotos(
            tuple(photo.to(device) for photo in self.clean),
            {
                kind: tuple(Pair(pair.damaged.to(device), pair.clean.to(device)) for pair in pairs)
                for kind, pairs in self.pairs.items()
            },
            tuple(Scene(scene.photo.to(device), scene.depth.to(device)) for scene in self.scenes),
            None if self.shakes is None else self.shakes.to(device),
        )


def find_photos(folder: Path) -> list[Path]:
    """Pictures below a folder, sorted by path. Raises DataError when there are none."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise DataError(f"{folder}: no pictures here; training needs photographs in this folder.")
    return paths


def find_pairs(data: Path, kind: str) -> list[tuple[Path, Path]]:
    """(damaged, clean) files of a kind, sorted by the damaged one's path; empty when there are none.

    Raises DataError for a picture without its other half.
    """
    pairs = []
    for damaged in sorted((data / "train" / kind).glob("*/input/*")):
        clean = [
            p for p in (damaged.parents[1] / "target").glob(f"{damaged.stem}.*") if p.stem == damaged.stem
        ]
        if len(clean) != 1:
            raise DataError(
                f"{damaged}: needs exactly one picture of that name in ../target, has {len(clean)}."
            )
        pairs.append((damaged, clean[0]))
    return pairs


def load_training_photos(data: Path) -> TrainingPhotos:
    """Read what is not held out (`splits`). Raises DataError when there are no clean photographs."""
    from clearair.data.scenes import find_scenes, load_scene
    from clearair.data.shakes import load_shakes

    clean, _ = split(find_photos(data / "train" / "clean"), "clean")
    pairs = {kind: split(find_pairs(data, kind), kind)[0] for kind in ("lowlight", "rain")}
    return TrainingPhotos(
        tuple(load_pixels(path) for path in clean),
        {
            kind: tuple(Pair(load_pixels(damaged), load_pixels(target)) for damaged, target in files)
            for kind, files in pairs.items()
        },
        tuple(load_scene(photo, depth) for photo, depth in find_scenes(data)),
        load_shakes(data),
    )


def load_pixels(path: Path) -> Tensor:
    """A picture as (3, H, W) uint8, read by libvips or, where that is not installed, by Pillow.

    Raises ImageError.
    """
    pixels = read_photo(path).pixels if has_libvips() else read_with_pillow(path)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


@cache
def has_libvips() -> bool:
    """Whether pictures can be read by libvips; else Pillow reads them."""
    try:
        libvips()
    except (ImportError, OSError):  # pyvips, or the library that it opens
        return False
    return True

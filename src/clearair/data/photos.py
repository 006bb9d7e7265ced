"""The training photographs of a data folder, in memory.

Layout: `train/clean/**` photographs to damage; `train/lowlight/*/{input,target}` and
`train/rain/*/{input,target}` pairs, matched by stem; `train/depth` see `scenes`, `train/blur` see `shakes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from clearair.data.pixels import load_pixels
from clearair.data.scenes import Scene, find_scenes, load_scene
from clearair.data.shakes import load_shakes
from clearair.data.splits import split
from clearair.errors import DataError, ImageError
from clearair.image import SUFFIXES

File = TypeVar("File")
Loaded = TypeVar("Loaded")

MOST_UNREADABLE = 0.01
"""Share of the pictures that may be left out since they cannot be read."""


@dataclass(frozen=True)
class Pair:
    """A scene with and without real damage, both (3, H, W) uint8."""

    damaged: Tensor
    clean: Tensor


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
    left_out: tuple[str, ...] = ()
    """What could not be read, a line each."""

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
            self.left_out,
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
    """Read what is not held out (`splits`); pictures that cannot be read are named and left out.

    Raises DataError when there are no clean photographs, when the halves of a pair differ in size, and when
    more than 1 % of the pictures cannot be read.
    """
    clean, _ = split(find_photos(data / "train" / "clean"), "clean")
    files = {kind: split(find_pairs(data, kind), kind)[0] for kind in ("lowlight", "rain")}
    depths = find_scenes(data)
    bad: list[str] = []
    photos = _readable(clean, load_pixels, bad)
    pairs = {kind: tuple(_readable(these, _load_pair, bad)) for kind, these in files.items()}
    scenes = _readable(depths, lambda both: load_scene(*both), bad)
    count = len(clean) + sum(map(len, files.values())) + len(depths)
    if bad and (len(bad) > MOST_UNREADABLE * count or not photos):
        raise DataError(
            f"{data / 'train'}: {len(bad)} of {count} pictures cannot be read, more than "
            f"{MOST_UNREADABLE:.0%}: {'; '.join(bad[:3])}{'; ...' if len(bad) > 3 else ''}"
        )
    left_out = [f"left out: {line}" for line in bad]
    if bad:
        left_out.append(f"{len(bad)} of {count} pictures cannot be read and are left out.")
    return TrainingPhotos(tuple(photos), pairs, tuple(scenes), load_shakes(data), tuple(left_out))


def _readable(files: Iterable[File], load: Callable[[File], Loaded], bad: list[str]) -> list[Loaded]:
    """What can be read; why something cannot is added to `bad`."""
    loaded = []
    for file in files:
        try:
            loaded.append(load(file))
        except ImageError as error:
            bad.append(str(error))
    return loaded


def _load_pair(paths: tuple[Path, Path]) -> Pair:
    damaged, clean = map(load_pixels, paths)
    if damaged.shape != clean.shape:
        sizes = " and ".join(f"{width} x {height}" for _, height, width in (damaged.shape, clean.shape))
        raise DataError(f"{paths[0]}: its size and that of {paths[1]} differ: {sizes} px.")
    return Pair(damaged, clean)

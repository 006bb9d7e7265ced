"""The training photographs of a data folder, in memory.

Layout: `train/clean/**` photographs to damage; `train/KIND/*/{input,target}` pairs of the kinds `PAIRED`,
matched by stem; `train/depth` see `scenes`, `train/blur` see `blur_kernels`.
Published sets lie as their authors lay them out (`layouts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from clearair.data.blur_kernels import load_blur_kernels
from clearair.data.layouts import DATA_SETS, below, find_set, match_sets, pictures
from clearair.data.pairfiles import MOST_UNREADABLE, Pair, PairFiles, find_published, load_pair
from clearair.data.pixels import load_pixels
from clearair.data.scenes import Scene, find_scenes, load_scene
from clearair.data.splits import held_out
from clearair.errors import DataError, ImageError
from clearair.kinds import PAIRED

File = TypeVar("File")
Loaded = TypeVar("Loaded")

CLEAN_SETS = ("BSD400", "WED")
"""Published photographs to damage, where `train/clean` is not there."""


@dataclass(frozen=True)
class TrainingPhotos:
    """All training data, decoded once: 700 photographs of 0.35 megapixels take 0.7 GB."""

    clean: tuple[Tensor, ...]
    """(3, H, W) uint8 each."""
    pairs: dict[str, tuple[Pair, ...]]
    """Really damaged photographs, by kind of damage."""
    scenes: tuple[Scene, ...] = ()
    """Photographs whose depth was measured."""
    blur_kernels: Tensor | None = None
    """(N, T, 3) paths of cameras that shook, measured: right, down, share of the time."""
    left_out: tuple[str, ...] = ()
    """Missing sets and unreadable files, a line each."""
    published: dict[tuple[str, ...], PairFiles] = field(default_factory=dict)
    """Pairs of published sets by their damage, used instead of synthetic damage."""
    own: PairFiles | None = None
    """Pairs of the user's own, with damage of any kind."""

    def to(self, device: torch.device | str) -> TrainingPhotos:
        """Copy to a device, as bytes: views are then made there."""
        return TrainingPhotos(
            tuple(photo.to(device) for photo in self.clean),
            {kind: tuple(pair.to(device) for pair in pairs) for kind, pairs in self.pairs.items()},
            tuple(Scene(scene.photo.to(device), scene.depth.to(device)) for scene in self.scenes),
            None if self.blur_kernels is None else self.blur_kernels.to(device),
            self.left_out,
            {kinds: pairs.to(device) for kinds, pairs in self.published.items()},
            None if self.own is None else self.own.to(device),
        )


def find_photos(folder: Path) -> list[Path]:
    """Pictures below a folder, sorted by path. Raises DataError when there are none."""
    paths = pictures(below(folder))
    if not paths:
        raise DataError(f"{folder}: no pictures here; training needs photographs in this folder.")
    return paths


def find_clean(data: Path) -> list[Path]:
    """The photographs to damage: `train/clean`, or where that is not there BSD400 and WED, sorted by path.

    Raises DataError when there are none.
    """
    folder = data / "train" / "clean"
    if folder.is_dir():
        return find_photos(folder)
    published = [item.clean for name in CLEAN_SETS for item in find_set(data, DATA_SETS[name])]
    return sorted(path for path in published if path) or find_photos(folder)


def find_pairs(data: Path, kind: str) -> list[tuple[Path, Path]]:
    """(damaged, clean) files of a kind, sorted by the damaged one's path; empty when there are none.

    Raises DataError for a picture without its other half, and for several of one name.
    """
    return match_sets(data / "train" / kind, "input", "target")


def load_training_photos(
    data: Path,
    sets: Sequence[str] = (),
    own: Sequence[tuple[Path, Path]] = (),
    tell: Callable[[str], None] = print,
) -> TrainingPhotos:
    """Read what is not held out (`splits`); pictures that cannot be read are named and left out.

    Pairs of the published `sets` and the user's `own` are read when they are drawn, and `tell` receives those
    that cannot be read.

    Raises DataError when there are no clean photographs, when the halves of a pair differ in size, and when
    more than 1 % of the pictures cannot be read.
    """
    found = find_clean(data)
    apart = held_out(data)
    clean, _ = apart.split(found, "clean")
    if not clean:
        raise DataError(
            f"{data / 'train'}: training needs more photographs: of {len(found)} all are held out, for "
            "validation or as unusual."
        )
    published, absent = find_published(data, sets, tell)
    files = {kind: apart.split(find_pairs(data, kind), kind)[0] for kind in PAIRED}
    depths = find_scenes(data)
    bad: list[str] = []
    photos = readable(clean, load_pixels, bad)
    pairs = {kind: tuple(readable(these, load_pair, bad)) for kind, these in files.items()}
    scenes = readable(depths, lambda both: load_scene(*both), bad)
    count = len(clean) + sum(map(len, files.values())) + len(depths)
    left_out = lines_of_unreadable(bad, len(photos), count, data)
    return TrainingPhotos(
        tuple(photos),
        pairs,
        tuple(scenes),
        load_blur_kernels(data),
        (*absent, *left_out),
        published,
        PairFiles(own, tell) if own else None,
    )


def lines_of_unreadable(bad: Sequence[str], clean: int, count: int | None, data: Path) -> list[str]:
    """A line for each picture that is left out, given the errors, and a line with their number.

    Raises DataError when they are more than 1 % of `count`, if that is given, or when no clean photograph
    could be read (`clean` is 0).
    """
    if bad and not clean:
        raise DataError(f"{data / 'train' / 'clean'}: no photograph can be read: {bad[0]}")
    if count is not None and len(bad) > MOST_UNREADABLE * count:
        raise DataError(
            f"{data / 'train'}: {len(bad)} of {count} pictures cannot be read, more than "
            f"{MOST_UNREADABLE:.0%}: {'; '.join(bad[:3])}{'; ...' if len(bad) > 3 else ''}"
        )
    if not bad:
        return []
    number = str(len(bad)) if count is None else f"{len(bad)} of {count}"
    total = f"{number} pictures cannot be read and are left out."
    return [*(f"left out: {line}" for line in bad), total]


def readable(files: Iterable[File], load: Callable[[File], Loaded], bad: list[str]) -> list[Loaded]:
    """The readable pictures; errors of the others are added to `bad`."""
    loaded = []
    for file in files:
        try:
            loaded.append(load(file))
        except ImageError as error:
            bad.append(str(error))
    return loaded

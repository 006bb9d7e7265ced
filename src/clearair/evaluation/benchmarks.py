"""Benchmark sets: which images each of them has, and how one of them is read.

The sets are those of `clearair.data.layouts`; low light is the held-out part of `train/lowlight`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clearair.data.layouts import DATA_SETS, DataSet, Item, find_set, pair_folders
from clearair.data.photos import find_pairs
from clearair.data.splits import held_out
from clearair.errors import DataError, UsageError
from clearair.evaluation.metrics import Image
from clearair.evaluation.protocol import WHOLE, Protocol
from clearair.image import read_photo, to_depth

SIGMAS = (15, 25, 50)


@dataclass(frozen=True)
class Case:
    """One image to restore."""

    name: str
    damaged: Image
    clean: Image | None
    files: tuple[Path, ...]
    """What it was read from, the input first."""
    synthetic: bool
    """The input was made here, by adding noise."""


@dataclass(frozen=True)
class Benchmark:
    """A set of images."""

    name: str
    items: Callable[[Path], list[Item]]
    """Below a data folder; raises DataError naming the set that is missing."""
    count: int | None = None
    """How many images the published set has."""
    sigma: int = 0
    """Of the noise that is added, in 0..255."""

    def cases(self, data: Path, protocol: Protocol = WHOLE, every: int = 1) -> Iterator[Case]:
        """Its images one after another, every n-th. Raises DataError for a pair of unequal size."""
        for index, item in self.chosen(data, every):
            yield self.load(item, protocol, index)

    def chosen(self, data: Path, every: int = 1) -> list[tuple[int, Item]]:
        """Every n-th of its images, each with its place in the whole set. Raises as `items` does."""
        return list(enumerate(self.items(data)))[::every]

    def load(self, item: Item, protocol: Protocol, index: int) -> Case:
        """Read the index-th of its images.

        Raises ImageError when it cannot be read, DataError when the two of a pair are of unequal size, or
        nothing is left of it.
        """
        clean = None if item.clean is None else _cropped(item.clean, protocol)
        files = tuple(dict.fromkeys(path for path in (item.damaged, item.clean) if path is not None))
        if item.damaged is None:
            assert clean is not None
            return Case(item.name, protocol.noisy(clean, self.sigma, index), clean, files, True)
        damaged = _cropped(item.damaged, protocol)
        if clean is not None and damaged.shape != clean.shape:
            raise DataError(
                f"{item.damaged}: {damaged.shape[1]} x {damaged.shape[0]} px, but {item.clean} has "
                f"{clean.shape[1]} x {clean.shape[0]}."
            )
        return Case(item.name, damaged, clean, files, False)


@dataclass(frozen=True)
class Chosen:
    """The images of one benchmark that are to be measured, found on disk and not read yet."""

    benchmark: Benchmark
    items: tuple[tuple[int, Item], ...]
    """Each with its place in the whole set."""


def choose(
    data: Path | None, names: Sequence[str] = (), *, extra: Sequence[Benchmark] = (), every: int = 1
) -> list[Chosen]:
    """Find the images of the named benchmarks and of `extra` ones, every n-th of each.

    Without a name and an extra one, of all benchmarks that are there. Raises UsageError for an unknown name,
    DataError for missing images.
    """
    folder = Path() if data is None else data
    named = [] if extra and not names else _named(folder, names)
    return [Chosen(each, tuple(each.chosen(folder, every))) for each in (*named, *extra)]


def available(data: Path) -> list[str]:
    """Names of the benchmarks whose pictures are below a data folder."""
    found = []
    for name, benchmark in BENCHMARKS.items():
        try:
            benchmark.items(data)
        except DataError:
            continue
        found.append(name)
    return found


def pairs_benchmark(inputs: Path, targets: Path) -> Benchmark:
    """Any two folders of pairs, matched by stem. Raises DataError when their files do not match."""
    items = pair_folders(inputs, targets)
    return Benchmark("/".join(inputs.absolute().parts[-2:]), lambda data: items)


def _named(data: Path, names: Sequence[str]) -> list[Benchmark]:
    for name in names:
        if name not in BENCHMARKS:
            raise UsageError(f"There is no benchmark {name!r}; known are {', '.join(BENCHMARKS)}.")
    names = names or available(data)
    if not names:
        raise DataError(f"{data}: no benchmark is in this folder; known are {', '.join(BENCHMARKS)}.")
    return [BENCHMARKS[name] for name in names]


def _cropped(path: Path, protocol: Protocol) -> Image:
    pixels = _pixels(path)
    cropped = protocol.crop(pixels)
    if not cropped.size:
        height, width = pixels.shape[:2]
        raise DataError(f"{path}: {width} x {height} px, which is smaller than --crop {protocol.multiple}.")
    return cropped


def _pixels(path: Path) -> Image:
    pixels: Image = to_depth(read_photo(path).pixels, np.dtype(np.uint8))
    return pixels


def _of_set(data_set: DataSet) -> Callable[[Path], list[Item]]:
    def items(data: Path) -> list[Item]:
        found = find_set(data, data_set)
        if not found:
            where = data / data_set.part / data_set.name
            raise DataError(f"{where}: {data_set.name} is neither here nor where its authors put it.")
        return found

    return items


def _noisy(name: str) -> list[Benchmark]:
    data_set = DATA_SETS[name]

    def items(data: Path) -> list[Item]:
        return [Item(item.name, None, item.clean) for item in _of_set(data_set)(data)]

    return [Benchmark(f"{name}-{sigma}", items, data_set.count, sigma) for sigma in SIGMAS]


def _dark_items(data: Path) -> list[Item]:
    pairs = find_pairs(data, "lowlight")
    if not pairs:
        raise DataError(f"{data / 'train' / 'lowlight'}: this benchmark folder is missing or empty.")
    return [
        Item(damaged.stem, damaged, clean) for damaged, clean in held_out(data).split(pairs, "lowlight")[1]
    ]


def _clean_items(data: Path) -> list[Item]:
    items = []
    for name in ("CBSD68", "Rain100L", "RESIDE-OTS", "RainDrop", "GoPro"):
        items += [
            Item(f"{name}/{item.name}", item.clean, item.clean) for item in find_set(data, DATA_SETS[name])
        ]
    if (data / "train" / "lowlight").is_dir():
        items += [Item(f"low light/{each.name}", each.clean, each.clean) for each in _dark_items(data)]
    if not items:
        raise DataError(f"{data}: no benchmark with clean pictures is in this folder.")
    return items


_DENOISING = ("CBSD68", "Urban100", "Kodak24")

_ALL = (
    *(benchmark for name in _DENOISING for benchmark in _noisy(name)),
    *(
        Benchmark(each.name, _of_set(each), each.count)
        for each in DATA_SETS.values()
        if each.part == "test" and each.name not in _DENOISING
    ),
    Benchmark("low light", _dark_items),
    Benchmark("clean to itself", _clean_items),
)

BENCHMARKS = {benchmark.name: benchmark for benchmark in _ALL}
"""By name, in the order of the table."""

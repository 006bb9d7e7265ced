"""Benchmark sets, and what a restorer reaches on them.

Layout below a data folder: `test/SET/input/STEM.*` and `test/SET/target/STEM.*`, paired by stem; sets for
denoising have targets only. Low light is the held-out part of `train/lowlight`. Every number is of the
whole image, in RGB, rounded to 8 bits; sets are summed up by the mean over images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearair.data.photos import find_pairs
from clearair.data.splits import split
from clearair.errors import DataError, UsageError
from clearair.evaluation.metrics import Image, psnr, ssim
from clearair.image import read_photo, to_depth

Restore = Callable[[Image], Image]
"""(H, W, 3) uint8 -> the same shape."""

PAIRED = ("Rain100L", "RESIDE-OTS", "RainDrop", "GoPro")


@dataclass(frozen=True)
class Case:
    """One image to restore."""

    name: str
    damaged: Image
    clean: Image


@dataclass(frozen=True)
class Benchmark:
    """A set of images under a protocol."""

    name: str
    protocol: str
    cases: Callable[[Path], Iterator[Case]]
    """From a data folder; raises DataError naming the folder that is missing."""


@dataclass(frozen=True)
class Score:
    """One image, before and after."""

    name: str
    input_psnr: float
    input_ssim: float
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Result:
    """What was reached on one benchmark."""

    benchmark: str
    protocol: str
    scores: tuple[Score, ...]

    def mean(self, field: str) -> float:
        """Mean over the images of `psnr`, `ssim`, `input_psnr` or `input_ssim`."""
        return float(np.mean([getattr(score, field) for score in self.scores]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        means = {field: self.mean(field) for field in ("input_psnr", "input_ssim", "psnr", "ssim")}
        return {**asdict(self), "images": len(self.scores), **means}


def evaluate(
    restore: Restore,
    data: Path,
    benchmarks: Sequence[str] | None = None,
    *,
    every: int = 1,
    on_image: Callable[[str, Score], None] | None = None,
) -> Iterator[Result]:
    """Restore every image of the named benchmarks (all by default) and yield one result a benchmark.

    `every` takes each n-th image only. Raises UsageError for an unknown name, DataError for missing images.
    """
    for name in list(BENCHMARKS) if benchmarks is None else benchmarks:
        if name not in BENCHMARKS:
            raise UsageError(f"There is no benchmark {name!r}; known are {', '.join(BENCHMARKS)}.")
    for name in list(BENCHMARKS) if benchmarks is None else benchmarks:
        benchmark = BENCHMARKS[name]
        scores = []
        for index, case in enumerate(benchmark.cases(data)):
            if index % every:
                continue
            restored = restore(case.damaged)
            score = Score(
                case.name,
                psnr(case.damaged, case.clean),
                ssim(case.damaged, case.clean),
                psnr(restored, case.clean),
                ssim(restored, case.clean),
            )
            scores.append(score)
            if on_image:
                on_image(name, score)
        yield Result(name, benchmark.protocol, tuple(scores))


def markdown_table(results: Iterable[Result]) -> str:
    """Input and restored PSNR and SSIM of each benchmark."""
    rows = [
        f"| {result.benchmark} | {len(result.scores)} | {result.mean('input_psnr'):.2f} | "
        f"{result.mean('psnr'):.2f} | {result.mean('input_ssim'):.4f} | {result.mean('ssim'):.4f} |"
        for result in results
    ]
    head = "| set | images | PSNR in | PSNR out | SSIM in | SSIM out |\n| --- | --- | --- | --- | --- | --- |"
    return "\n".join([head, *rows])


def _pixels(path: Path) -> Image:
    pixels: Image = to_depth(read_photo(path).pixels, np.dtype(np.uint8))
    return pixels


def _files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []
    if not files:
        raise DataError(f"{folder}: this benchmark folder is missing or empty.")
    return files


def _targets(data: Path) -> dict[str, list[tuple[Path, Path]]]:
    """(input, target) files of every paired set."""
    return {name: _pairs(data / "test" / name) for name in PAIRED} | {"low light": _dark_pairs(data)}


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    targets = {path.stem: path for path in _files(folder / "target")}
    inputs = _files(folder / "input")
    for path in inputs:
        if path.stem not in targets:
            raise DataError(f"{path}: has no picture of that name in {folder / 'target'}.")
    return [(path, targets[path.stem]) for path in inputs]


def _dark_pairs(data: Path) -> list[tuple[Path, Path]]:
    pairs = find_pairs(data, "lowlight")
    if not pairs:
        raise DataError(f"{data / 'train' / 'lowlight'}: this benchmark folder is missing or empty.")
    return split(pairs, "lowlight")[1]


def _noisy(sigma: int) -> Benchmark:
    def cases(data: Path) -> Iterator[Case]:
        for index, path in enumerate(_files(data / "test" / "CBSD68" / "target")):
            clean = _pixels(path)
            noise = np.random.default_rng(index).normal(0, sigma, clean.shape)
            yield Case(path.stem, np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8), clean)

    protocol = f"Gaussian noise, sigma {sigma}, default_rng(index), rounded and clipped to 8 bits"
    return Benchmark(f"CBSD68 sigma {sigma}", protocol, cases)


def _paired(name: str) -> Benchmark:
    def cases(data: Path) -> Iterator[Case]:
        pairs = _dark_pairs(data) if name == "low light" else _pairs(data / "test" / name)
        for damaged, clean in pairs:
            yield Case(damaged.stem, _pixels(damaged), _pixels(clean))

    return Benchmark(name, "whole image", cases)


def _clean() -> Benchmark:
    def cases(data: Path) -> Iterator[Case]:
        groups = {"CBSD68": _files(data / "test" / "CBSD68" / "target")}
        groups |= {name: [target for _, target in pairs] for name, pairs in _targets(data).items()}
        for name, paths in groups.items():
            for path in paths:
                clean = _pixels(path)
                yield Case(f"{name}/{path.stem}", clean, clean)

    return Benchmark("clean to itself", "the clean targets of all sets, restored, against themselves", cases)


_ALL = (*(_noisy(sigma) for sigma in (15, 25, 50)), *(_paired(n) for n in (*PAIRED, "low light")), _clean())

BENCHMARKS = {benchmark.name: benchmark for benchmark in _ALL}
"""By name, in the order of the table."""

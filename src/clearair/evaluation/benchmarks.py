"""Benchmark sets, and what a restorer reaches on them.

The sets are those of `clearair.data.layouts`; low light is the held-out part of `train/lowlight`. Pictures
are read, restored, measured and forgotten one by one; what cannot be is named and skipped. Every number is a
mean over images, and carries its protocol.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearair.data.layouts import DATA_SETS, DataSet, Item, find_set, pair_folders
from clearair.data.photos import find_pairs
from clearair.data.splits import held_out
from clearair.errors import ClearAirError, DataError, UsageError
from clearair.evaluation.measures import Measure, make_measures
from clearair.evaluation.metrics import Image, Values
from clearair.evaluation.protocol import WHOLE, Protocol
from clearair.image import read_photo, to_depth
from clearair.memory import is_shortage

Restore = Callable[[Any], Any]
"""(H, W, 3) uint8 -> the same; where a protocol does not round, float32 in [0, 1] -> the same."""

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

        Raises ImageError when it cannot be read, DataError when the two of a pair are of unequal size.
        """
        clean = None if item.clean is None else protocol.crop(_pixels(item.clean))
        files = tuple(dict.fromkeys(path for path in (item.damaged, item.clean) if path is not None))
        if item.damaged is None:
            assert clean is not None
            return Case(item.name, protocol.noisy(clean, self.sigma, index), clean, files, True)
        damaged = protocol.crop(_pixels(item.damaged))
        if clean is not None and damaged.shape != clean.shape:
            raise DataError(
                f"{item.damaged}: {damaged.shape[1]} x {damaged.shape[0]} px, but {item.clean} has "
                f"{clean.shape[1]} x {clean.shape[0]}."
            )
        return Case(item.name, damaged, clean, files, False)


@dataclass(frozen=True)
class Score:
    """One image, before and after."""

    name: str
    inputs: Mapping[str, float]
    """By metric, of what came in; a metric that cannot be measured is absent."""
    values: Mapping[str, float]
    """By metric, of what was made of it."""
    files: tuple[Path, ...]
    fingerprint: str
    """Of the files' bytes."""

    @property
    def psnr(self) -> float:
        """In dB, of the restored image; NaN when it was not measured."""
        return self.values.get("psnr", float("nan"))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "name": self.name,
            **{f"input_{metric}": value for metric, value in self.inputs.items()},
            **self.values,
            "files": [str(path) for path in self.files],
            "sha256": self.fingerprint,
        }


@dataclass(frozen=True)
class Skipped:
    """One image that could not be measured."""

    name: str
    error: str
    """Why, with the file."""


@dataclass(frozen=True)
class Result:
    """What was reached on one benchmark."""

    benchmark: str
    protocol: Protocol
    scores: tuple[Score, ...]
    asked: int
    """How many images were to be measured."""
    skipped: tuple[Skipped, ...] = ()
    count: int | None = None
    """How many images the published set has."""

    @property
    def complete(self) -> bool:
        """Whether all images that were to be measured have been."""
        return len(self.scores) == self.asked

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that at least one image was measured with."""
        return tuple(dict.fromkeys(metric for score in self.scores for metric in score.values))

    @property
    def manifest(self) -> str:
        """Fingerprint of all pictures that were read."""
        names = "".join(f"{score.name} {score.fingerprint}\n" for score in self.scores)
        return hashlib.sha256(names.encode()).hexdigest()

    def mean(self, field: str) -> float:
        """Mean over the images of a metric, or of `input_` and a metric; NaN when none was measured."""
        metric = field.removeprefix("input_")
        sides = [score.values if metric == field else score.inputs for score in self.scores]
        values = [side[metric] for side in sides if metric in side]
        return float(np.mean(values)) if values else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        means = {field: self.mean(field) for metric in self.metrics for field in (f"input_{metric}", metric)}
        return {
            "benchmark": self.benchmark,
            "protocol": self.protocol.to_dict(),
            "complete": self.complete,
            "images": len(self.scores),
            "asked_images": self.asked,
            "skipped_images": len(self.skipped),
            "published_images": self.count,
            "manifest": self.manifest,
            **{field: value for field, value in means.items() if np.isfinite(value)},
            "scores": [score.to_dict() for score in self.scores],
            "skipped": [asdict(each) for each in self.skipped],
        }


OnImage = Callable[[str, Case, Any, Score], None]
"""Told after each image: the benchmark's name, the case, what it became as uint8, and its score."""
OnSkipped = Callable[[str, Skipped], None]
"""Told instead where an image could not be measured: the benchmark's name, the image and why."""


def evaluate(
    restore: Restore,
    data: Path,
    benchmarks: Sequence[str] | None = None,
    *,
    extra: Sequence[Benchmark] = (),
    protocol: Protocol = WHOLE,
    measures: Mapping[str, Measure] | None = None,
    every: int = 1,
    on_start: Callable[[int], None] | None = None,
    on_image: OnImage | None = None,
    on_skipped: OnSkipped | None = None,
) -> Iterator[Result]:
    """Restore every image of the named benchmarks (all that are there by default) and of `extra` ones.

    Yields one result a benchmark. `every` takes each n-th image only. An image that cannot be read, restored
    or measured is skipped, and its result says so. `on_start` is told how many images there are, before the
    first. What breaks a benchmark off, KeyboardInterrupt too, is raised again once the result of its images
    so far was yielded. Raises UsageError for an unknown name, DataError for missing images, before the first.
    """
    measures = make_measures() if measures is None else measures
    found = [
        (benchmark, benchmark.chosen(data, every))
        for benchmark in (*_named(data, benchmarks, bool(extra)), *extra)
    ]
    if on_start:
        on_start(sum(len(chosen) for _, chosen in found))
    for benchmark, chosen in found:
        scores: list[Score] = []
        skipped: list[Skipped] = []
        try:
            for index, item in chosen:
                try:
                    case = benchmark.load(item, protocol, index)
                    restored = _restore(restore, case.damaged, protocol)
                    score = _score(case, restored, measures)
                except Exception as error:
                    skipped.append(Skipped(item.name, _problem(error, item)))
                    if on_skipped:
                        on_skipped(benchmark.name, skipped[-1])
                    continue
                scores.append(score)
                if on_image:
                    on_image(benchmark.name, case, np.clip(np.rint(restored), 0, 255).astype(np.uint8), score)
        finally:
            # Also while an exception passes: hours of measuring must not go with it.
            if scores or skipped:
                yield Result(
                    benchmark.name, protocol, tuple(scores), len(chosen), tuple(skipped), benchmark.count
                )


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
    return Benchmark(f"{inputs.parent.name}/{inputs.name}", lambda data: items)


def fingerprint(files: Iterable[Path]) -> str:
    """SHA-256 of the bytes of files, one after another."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def markdown_table(results: Iterable[Result]) -> str:
    """Each metric of each benchmark, before and after; of how many images, where some are missing."""
    results = list(results)
    metrics = list(dict.fromkeys(metric for result in results for metric in result.metrics))
    head = " | ".join(f"{metric.upper()} in | {metric.upper()} out" for metric in metrics)
    lines = [f"| set | images | {head} |", f"|{' --- |' * (2 + 2 * len(metrics))}"]
    for result in results:
        cells = [
            shown(metric, result.mean(field)) for metric in metrics for field in (f"input_{metric}", metric)
        ]
        images = f"{len(result.scores)}" + ("" if result.complete else f" of {result.asked}")
        lines.append(f"| {result.benchmark} | {images} | {' | '.join(cells)} |")
    return "\n".join(lines)


def shown(metric: str, value: float) -> str:
    """With the digits that papers give; empty when it was not measured."""
    if not np.isfinite(value):
        return ""
    return f"{value:.4f}" if metric.startswith("ssim") else f"{value:.2f}"


def _named(data: Path, names: Sequence[str] | None, others: bool) -> list[Benchmark]:
    if names is None and others:
        return []
    if names is None:
        names = available(data)
        if not names:
            raise DataError(f"{data}: no benchmark is in this folder; known are {', '.join(BENCHMARKS)}.")
    for name in names:
        if name not in BENCHMARKS:
            raise UsageError(f"There is no benchmark {name!r}; known are {', '.join(BENCHMARKS)}.")
    return [BENCHMARKS[name] for name in names]


def _restore(restore: Restore, damaged: Image, protocol: Protocol) -> Values:
    """In 0..255."""
    if protocol.rounded:
        restored: Values = restore(damaged)
    else:
        restored = np.clip(restore(damaged.astype(np.float32) / 255), 0, 1) * np.float32(255)
    return restored


def _score(case: Case, restored: Values, measures: Mapping[str, Measure]) -> Score:
    return Score(
        case.name,
        _measured(measures, case.damaged, case.clean),
        _measured(measures, restored, case.clean),
        case.files,
        fingerprint(case.files),
    )


def _problem(error: Exception, item: Item) -> str:
    """Why an image cannot be measured; raises again what is not the image's fault."""
    if isinstance(error, ClearAirError):
        return str(error)
    if is_shortage(error):
        return f"{item.damaged or item.clean}: there is not enough memory for it."
    raise error


def _measured(measures: Mapping[str, Measure], image: Values, clean: Image | None) -> dict[str, float]:
    values = {name: measure(image, clean) for name, measure in measures.items()}
    return {name: value for name, value in values.items() if value is not None}


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

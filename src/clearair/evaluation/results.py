"""Results on a benchmark set: scores of images, their means, and tables of both."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearair.evaluation.protocol import Protocol


@dataclass(frozen=True)
class Score:
    """One image, before and after."""

    name: str
    inputs: Mapping[str, float]
    """Of the input, by metric; a metric that cannot be measured is absent."""
    values: Mapping[str, float]
    """Of the output, by metric."""
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
    """The result on one benchmark."""

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


def csv_table(results: Sequence[Result]) -> str:
    """CSV with a row per image."""
    metrics = list(dict.fromkeys(metric for result in results for metric in result.metrics))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["benchmark", "image", *(f"{side}{m}" for m in metrics for side in ("input_", ""))])
    for result in results:
        for score in result.scores:
            cells = [side.get(m, "") for m in metrics for side in (score.inputs, score.values)]
            writer.writerow([result.benchmark, score.name, *cells])
    return text.getvalue()


def shown(metric: str, value: float) -> str:
    """With the digits that papers give; empty when it was not measured."""
    if not np.isfinite(value):
        return ""
    return f"{value:.4f}" if metric.startswith("ssim") else f"{value:.2f}"


def fingerprint(files: Iterable[Path]) -> str:
    """SHA-256 of the bytes of files, one after another."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()

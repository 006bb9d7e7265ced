"""Measure a restorer on benchmark images, one after another.

Images are read, restored, measured and released one by one; failing ones are named and skipped. Every number
is a mean over images, and carries its protocol.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from clearair.data.layouts import Item
from clearair.errors import ClearAirError
from clearair.evaluation.benchmarks import Case, Chosen
from clearair.evaluation.measures import Measure
from clearair.evaluation.metrics import Image, Values
from clearair.evaluation.pictures import PictureSaver
from clearair.evaluation.protocol import Protocol
from clearair.evaluation.results import Result, Score, Skipped, fingerprint
from clearair.memory import is_shortage

Restore = Callable[[Any], Any]
"""(H, W, 3) uint8 -> the same; where a protocol does not round, float32 in [0, 1] -> the same."""


class Watcher(typing.Protocol):
    """Receives the progress of an evaluation, and may end it by an exception."""

    def started(self, images: int) -> None:
        """How many images of benchmarks there are, before the first of them."""

    def measured(self, benchmark: str, case: Case, restored: Image, score: Score) -> None:
        """One image of a benchmark is done; `restored` is rounded to 8 bits."""

    def skipped(self, benchmark: str, image: Skipped) -> None:
        """One image of a benchmark could not be measured."""

    def progressed(self, text: str) -> None:
        """Progress of another measurement."""

    def measuring(self) -> AbstractContextManager[object]:
        """Return a context for measuring benchmarks and keeping the results."""

    def restoring(self) -> AbstractContextManager[object]:
        """Return a context for each restoration of a benchmark image."""


class Unwatched:
    """A watcher that does nothing."""

    def started(self, images: int) -> None:
        """Do nothing."""

    def measured(self, benchmark: str, case: Case, restored: Image, score: Score) -> None:
        """Do nothing."""

    def skipped(self, benchmark: str, image: Skipped) -> None:
        """Do nothing."""

    def progressed(self, text: str) -> None:
        """Do nothing."""

    def measuring(self) -> AbstractContextManager[object]:
        """Return a context that does nothing."""
        return nullcontext()

    def restoring(self) -> AbstractContextManager[object]:
        """Return a context that does nothing."""
        return nullcontext()


def measure(
    restore: Restore,
    chosen: Sequence[Chosen],
    protocol: Protocol,
    measures: Mapping[str, Measure],
    watcher: Watcher,
    pictures: PictureSaver | None = None,
) -> Iterator[Result]:
    """Restore and measure every chosen image; yields one result a benchmark.

    An image that cannot be read, restored or measured is skipped, and its result says so. An exception that
    ends a benchmark, even KeyboardInterrupt, is raised again after the result of its images so far was
    yielded.
    """
    watcher.started(sum(len(each.items) for each in chosen))
    for each in chosen:
        benchmark = each.benchmark
        scores: list[Score] = []
        skipped: list[Skipped] = []
        try:
            for index, item in each.items:
                try:
                    case = benchmark.load(item, protocol, index)
                    with watcher.restoring():
                        restored = _restored(restore, case.damaged, protocol)
                    score = _score(case, restored, measures)
                except Exception as error:
                    skipped.append(Skipped(item.name, _problem(error, item)))
                    watcher.skipped(benchmark.name, skipped[-1])
                    continue
                scores.append(score)
                pixels = np.clip(np.rint(restored), 0, 255).astype(np.uint8)
                if pictures is not None:
                    pictures.save(benchmark.name, case, pixels)
                watcher.measured(benchmark.name, case, pixels, score)
        finally:
            # Also after an exception: hours of measuring must not be lost.
            if scores or skipped:
                asked = len(each.items)
                yield Result(benchmark.name, protocol, tuple(scores), asked, tuple(skipped), benchmark.count)


def _restored(restore: Restore, damaged: Image, protocol: Protocol) -> Values:
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


def _measured(measures: Mapping[str, Measure], image: Values, clean: Image | None) -> dict[str, float]:
    values = {name: measure(image, clean) for name, measure in measures.items()}
    return {name: value for name, value in values.items() if value is not None}


def _problem(error: Exception, item: Item) -> str:
    """Why an image cannot be measured; other errors are raised again."""
    if isinstance(error, ClearAirError):
        return str(error)
    if is_shortage(error):
        return f"{item.damaged or item.clean}: there is not enough memory for it."
    raise error

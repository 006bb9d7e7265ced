"""Follows the run of a restorer: validates it by kind of damage, and writes what there is to look at.

`log.jsonl` gets a line for each validation, `samples.safetensors` the pictures, TensorBoard both when it is
installed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from clearair.data.validation import own_set, validation_sets
from clearair.evaluation.examination import Examination, Examined
from clearair.evaluation.summary import by_kind, inputs
from clearair.evaluation.validation import Score
from clearair.perception.protocol import Perceiver
from clearair.training.board import Board
from clearair.training.progress import LOG, append
from clearair.training.samples import load_samples, save_samples


class Follower:
    """Looks at the average of a run's weights at its start, every so many minutes and at its end.

    `start` is measured once in a run and read from the log when it is resumed, unless `views` differs.
    """

    def __init__(
        self,
        out: Path,
        data: Path,
        perceiver: Perceiver,
        *,
        views: int,
        minutes: float | None = None,
        measure_start: bool = True,
        own: Sequence[tuple[Path, Path]] = (),
        report: Callable[[str], None] = print,
    ) -> None:
        self.out = out
        self.views = views
        self.minutes = minutes
        self.measure_start = measure_start
        self.own = own
        self.report = report
        self.data = data
        self.perceiver = perceiver
        self.board = Board()
        self.start: dict[str, Score] | None = None
        self.final: dict[str, Score] | None = None
        self._looked = time.monotonic()
        self._first: Tensor | None = None

    @cached_property
    def examination(self) -> Examination:
        """The held-out views. Raises DataError without any."""
        sets = validation_sets(self.data, views=self.views)
        if self.own:
            sets.append(own_set(self.own, views=self.views))
        return Examination(self.perceiver, sets)

    def began(self, average: nn.Module, step: int, seconds: float) -> None:
        """Measure where the run begins, or read it from the log of an earlier sitting."""
        self.board = Board.open(self.out)
        self.start = logged_start(self.out / LOG, self.views) if step else None
        if self.start is None and self.measure_start:
            self.start = self._look(average, step, seconds, "start").scores
        self._looked = time.monotonic()

    def logged(self, record: Mapping[str, float]) -> None:
        """Hand a line of the log to TensorBoard."""
        self.board.scalars(record)

    def paused(self, average: nn.Module, step: int, seconds: float) -> None:
        """Validate when it is time to."""
        if self.minutes is not None and time.monotonic() - self._looked >= 60 * self.minutes:
            self._look(average, step, seconds, "run")
            self._looked = time.monotonic()

    def ended(self, average: nn.Module, step: int, seconds: float) -> None:
        """Validate what the run has come to."""
        self.report("validating")
        self.final = self._look(average, step, seconds, "end").scores

    def _look(self, average: nn.Module, step: int, seconds: float, of: str) -> Examined:
        found = self.examination.examine(average)
        record: dict[str, Any] = {
            "step": step,
            "seconds": round(seconds),
            "of": of,
            "views": self.views,
            "validation": by_kind(found.scores),
            "input": inputs(found.scores),
        }
        append(self.out / LOG, record)
        self.report(f"step {step}  {of}  validation {record['validation']['mean']:.2f} dB")
        self._keep(found, of)
        self.board.validation(step, record["validation"])
        self.board.samples(step, self.examination, found.samples)
        return found

    def _keep(self, found: Examined, of: str) -> None:
        """Write the samples, beside those of the start where these are known."""
        if of == "start":
            self._first = found.samples
        elif self._first is None:
            earlier = load_samples(self.out)
            if earlier is not None and earlier.kinds == self.examination.kinds:
                self._first = earlier.start
        save_samples(self.out, self.examination, self._first, found.samples)


def logged_start(log: Path, views: int) -> dict[str, Score] | None:
    """What a log says of the start of its run, from so many views of a kind; None where it does not."""
    if not log.exists():
        return None
    for line in log.read_text().splitlines():
        record = json.loads(line)
        if record.get("of") == "start" and record.get("views") == views:
            values, before = record["validation"], record["input"]
            return {kind: Score(before[kind], psnr) for kind, psnr in values.items() if kind != "mean"}
    return None

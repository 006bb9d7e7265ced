"""Validates a restorer by kind of damage during training, and writes logs and sample pictures.

`log.jsonl` gets a line for each validation, `samples.safetensors` the pictures, TensorBoard both when it is
installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from clearair.data.validation import own_set, validation_sets
from clearair.evaluation.held_out import HeldOutViews, Validated
from clearair.evaluation.summary import by_kind, inputs
from clearair.evaluation.validation import Score
from clearair.perception.protocol import BatchPerceiver
from clearair.training.loop.log import LOG, append, read_log
from clearair.training.loop.loop import ignore
from clearair.training.restorer.samples import load_samples, save_samples
from clearair.training.restorer.tensorboard import TensorBoardWriter


class ValidationWatcher:
    """Validates the average of a run's weights at its start, at an interval in minutes, and at its end.

    `start` is measured once in a run and read from the log when it is resumed. With other views or kinds than
    it was measured on, a resumed run measures its start anew and says so.
    """

    def __init__(
        self,
        out: Path,
        data: Path,
        perceiver: BatchPerceiver,
        *,
        views: int,
        minutes: float | None = None,
        at_start: bool = True,
        own: Sequence[tuple[Path, Path]] = (),
        report: Callable[[str], None] = print,
        notice: Callable[[str], None] = ignore,
    ) -> None:
        self.out = out
        self.views = views
        self.minutes = minutes
        self.at_start = at_start
        self.own = own
        self.report = report
        self.notice = notice
        self.data = data
        self.perceiver = perceiver
        self.tensorboard = TensorBoardWriter()
        self.start: dict[str, Score] | None = None
        self.final: dict[str, Score] | None = None
        self._validated_at = time.monotonic()
        self._start_samples: Tensor | None = None

    @cached_property
    def held_out_views(self) -> HeldOutViews:
        """The held-out views. Raises DataError without any."""
        sets = validation_sets(self.data, views=self.views)
        if self.own:
            sets.append(own_set(self.own, views=self.views))
        return HeldOutViews(self.perceiver, sets)

    def began(self, average: nn.Module, step: int, seconds: float) -> None:
        """Measure where the run begins, or read it from the log of a run that is resumed."""
        self.tensorboard = TensorBoardWriter.open(self.out)
        views = self.held_out_views  # read now: a pair that cannot be used must not end a trained run
        self.start = logged_start(self.out / LOG, self.views, views.kinds) if step else None
        if self.start is None and self.at_start:
            if step:
                self.report(
                    f"There are no scores of these views from the start; the start is now step {step}."
                )
            self.notice(f"validating the start, {self.views} views of each kind of damage")
            self.start = self._validate(average, step, seconds, "start").scores
        self._validated_at = time.monotonic()

    def logged(self, record: Mapping[str, float]) -> None:
        """Pass a line of the log to TensorBoard."""
        self.tensorboard.scalars(record)

    def paused(self, average: nn.Module, step: int, seconds: float) -> None:
        """Validate when it is time to."""
        if self.minutes is not None and time.monotonic() - self._validated_at >= 60 * self.minutes:
            self._validate(average, step, seconds, "run")
            self._validated_at = time.monotonic()

    def ended(self, average: nn.Module, step: int, seconds: float) -> None:
        """Validate the current weights."""
        self.report("validating")
        self.final = self._validate(average, step, seconds, "end").scores

    def _validate(self, average: nn.Module, step: int, seconds: float, of: str) -> Validated:
        found = self.held_out_views.validate(average)
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
        self._save_samples(found, of)
        self.tensorboard.validation(step, record["validation"])
        self.tensorboard.samples(step, self.held_out_views, found.samples)
        return found

    def _save_samples(self, found: Validated, of: str) -> None:
        """Write the samples, with those of the start if these are known."""
        if of == "start":
            self._start_samples = found.samples
        elif self._start_samples is None:
            earlier = load_samples(self.out)
            if earlier is not None and earlier.kinds == self.held_out_views.kinds:
                self._start_samples = earlier.start
        save_samples(self.out, self.held_out_views, self._start_samples, found.samples)


def logged_start(log: Path, views: int, kinds: Sequence[str]) -> dict[str, Score] | None:
    """Return the logged scores of a run's start, from `views` views of these kinds; None without them."""
    for record in read_log(log):
        if record.get("of") == "start" and record.get("views") == views:
            values, before = record["validation"], record["input"]
            if set(kinds) <= set(values):
                return {kind: Score(before[kind], values[kind]) for kind in kinds}
    return None

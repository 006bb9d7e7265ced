"""Curves from the log of a run: its training batches, and PSNR by kind of damage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearair.errors import TrainingError
from clearair.training.loop.log import LOG, read_log


@dataclass(frozen=True)
class Curves:
    """The records of a log, each with its step and training time."""

    training: tuple[dict[str, Any], ...]
    """Lines about training: `step`, `seconds`, `loss`, `psnr` and more; every step once."""
    validation: tuple[dict[str, Any], ...]
    """Lines about validation: `step`, `seconds`, `of`, and `validation` and `input` in dB by kind."""

    @classmethod
    def of(cls, records: Iterable[dict[str, Any]]) -> Curves:
        """Return the curves of a log's records.

        A run that was killed or annealed is resumed from an earlier step. Records after that step are left
        out, since those steps were trained again.
        """
        training: list[dict[str, Any]] = []
        validation: list[dict[str, Any]] = []
        for record in records:
            if "loss" in record and "step" in record:
                if training and training[-1]["step"] >= record["step"]:
                    training = [each for each in training if each["step"] < record["step"]]
                    validation = [each for each in validation if each["step"] < record["step"]]
                training.append(record)
            elif "validation" in record and "step" in record:
                validation.append(record)
        return cls(tuple(training), tuple(validation))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Validated kinds of damage, the mean first."""
        return tuple(dict.fromkeys(kind for record in self.validation for kind in record["validation"]))


def read_curves(run: Path) -> Curves:
    """Read `log.jsonl` of a run folder. Raises TrainingError when it is missing, damaged or empty."""
    log = run / LOG
    if not log.exists():
        raise TrainingError(f"{log}: is missing; is {run} the --out of a training?")
    curves = Curves.of(read_log(log))
    if not curves.training and not curves.validation:
        raise TrainingError(f"{log}: holds nothing to plot yet.")
    return curves

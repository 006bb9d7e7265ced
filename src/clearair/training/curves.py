"""What the log of a run says over time: its training batches, and PSNR by kind of damage."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearair.errors import TrainingError


@dataclass(frozen=True)
class Curves:
    """What a log says, each value with the step and the minute of training it belongs to."""

    training: tuple[dict[str, Any], ...]
    """Lines about training: `step`, `seconds`, `loss`, `psnr` and more."""
    validation: tuple[dict[str, Any], ...]
    """Lines about validation: `step`, `seconds`, `of`, and `validation` and `input` in dB by kind."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Validated kinds of damage, the mean first."""
        return tuple(dict.fromkeys(kind for record in self.validation for kind in record["validation"]))


def read_curves(run: Path) -> Curves:
    """Read `log.jsonl` of a run folder. Raises TrainingError when it is missing, damaged or empty."""
    log = run / "log.jsonl"
    try:
        records = [json.loads(line) for line in log.read_text().splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise TrainingError(f"{log}: is missing; is {run} the --out of a training?") from error
    except (OSError, ValueError) as error:
        raise TrainingError(f"{log}: cannot be read ({error}).") from error
    curves = Curves(
        tuple(record for record in records if "loss" in record),
        tuple(record for record in records if "validation" in record and "step" in record),
    )
    if not curves.training and not curves.validation:
        raise TrainingError(f"{log}: holds nothing to draw yet.")
    return curves

"""Which model a run saved: when it is resumed, it may replace that one, and no other."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from clearair.models.stored import WEIGHTS
from clearair.placing import write_atomically

SAVED = "saved.json"
"""In a run folder."""


def remember_saved(out: Path, model: Path) -> None:
    """Write into a run folder that this model is the run's. Raises OutputError."""
    write_atomically(out / SAVED, json.dumps(_described(model)).encode(), overwrite=True)


def is_saved_by(out: Path, model: Path) -> bool:
    """Whether a run saved this model, and its weights are still the same."""
    try:
        return bool(json.loads((out / SAVED).read_text()) == _described(model))
    except (OSError, ValueError):
        return False


def _described(model: Path) -> dict[str, str]:
    with (model / WEIGHTS).open("rb") as file:
        return {"folder": str(model.resolve()), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}

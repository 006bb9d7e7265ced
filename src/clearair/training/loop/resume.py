"""Where a run begins: at the start, or at a checkpoint of the very same run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clearair.errors import TrainingError
from clearair.training.loop.checkpoint import Checkpoint, load_checkpoint

LATEST, STABLE = "latest.safetensors", "stable.safetensors"
"""The last checkpoint, and the last one before the learning rate began to fall."""

ANNEALED = "annealed.safetensors"
"""A copy whose learning rate fell to zero before its time was up; the run itself goes on from the latest."""

FREE = ("steps", "decay_steps", "accumulate")
"""Settings that are not part of a run's identity."""

LATER = {"windows": 1, "optimizer": "muon", "mix.turned": 0.25}
"""What older runs did by a setting that they did not know yet, unless that was nothing."""


def last_checkpoint(
    out: Path, settings: dict[str, Any], architecture: str, *, resume: bool, change: bool
) -> Checkpoint | None:
    """The checkpoint in `out` to go on from; None where there is no run yet.

    With another length than an annealed run had, the one from before the annealing. `architecture` is the
    entry of the settings that describes the network. Raises TrainingError for a run that is not to be
    resumed, has another network, or other settings without `change`.
    """
    latest, stable = out / LATEST, out / STABLE
    if not latest.exists():
        return None
    if not resume:
        raise TrainingError(f"{out}: holds a run already; --resume goes on with it, or name another folder.")
    checkpoint = load_checkpoint(latest)
    if checkpoint.annealing and settings["steps"] != checkpoint.recipe["steps"] and stable.exists():
        # Weights that were annealed learn badly at the full rate again.
        checkpoint = load_checkpoint(stable)
    # What else an older run did not know was off, as it is by default.
    theirs, ours = LATER | _entries(checkpoint.recipe), LATER | _entries(settings)
    changed = [name for name in {**ours, **theirs} if (ours.get(name) or None) != (theirs.get(name) or None)]
    differences = {
        name: f"{name} {theirs.get(name)} -> {ours.get(name)}" for name in changed if name not in FREE
    }
    if shape := [text for name, text in differences.items() if name.startswith(f"{architecture}.")]:
        raise TrainingError(f"{out}: holds a run of another network ({_listed(shape)}).")
    if differences and not change:
        raise TrainingError(
            f"{out}: holds a run with other settings ({_listed(list(differences.values()))}); "
            "--change goes on with the new ones."
        )
    return checkpoint


def _listed(texts: list[str], most: int = 6) -> str:
    rest = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + rest


def _entries(settings: dict[str, Any]) -> dict[str, Any]:
    """The leaves of settings as JSON would give them back, by dotted name."""
    return dict(_leaves(json.loads(json.dumps(settings)), ""))


def _leaves(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value

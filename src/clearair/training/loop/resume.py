"""Where a run begins: at the start, or at a checkpoint of the same run."""

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
"""A copy that was annealed before a deadline; the run itself continues from the latest checkpoint."""

FREE = ("steps", "decay_steps", "accumulate")
"""Settings that are not part of a run's identity."""

LATER = {"windows": 1, "optimizer": "muon", "mix.turned": 0.25}
"""Values of settings that older runs lack, unless the default means off."""


def last_checkpoint(
    out: Path, settings: dict[str, Any], architecture: str, *, resume: bool, change: bool
) -> Checkpoint | None:
    """The checkpoint in `out` to resume from; None if there is no run yet.

    With another length than an annealed run had, the one from before the annealing. `architecture` is the
    entry of the settings that describes the network. Raises TrainingError for a run that must not be resumed,
    has another network, or other settings without `change`.
    """
    latest, stable = out / LATEST, out / STABLE
    if not latest.exists():
        return None
    if not resume:
        raise TrainingError(f"{out}: holds a run already; --resume continues it, or name another folder.")
    checkpoint = load_checkpoint(latest)
    if checkpoint.annealing and settings["steps"] != checkpoint.recipe["steps"] and stable.exists():
        # Annealed weights train badly when they return to the full rate.
        checkpoint = load_checkpoint(stable)
    # Other settings that older runs lack were off, as they are by default.
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
            "--change continues with the new ones."
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

"""Where a run begins: at the start, or at a checkpoint of the same run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clearair.errors import TrainingError
from clearair.training.loop.checkpoint import Checkpoint, load_checkpoint
from clearair.weights import listed

LATEST, STABLE = "latest.safetensors", "stable.safetensors"
"""The last checkpoint, and the last one before the learning rate began to fall."""

ANNEALED = "annealed.safetensors"
"""A copy that was annealed before a deadline; the run itself continues from the latest checkpoint."""

FREE = ("steps", "decay_steps", "accumulate")
"""Settings that are not part of a run's identity."""

WEIGHTS = ("optimizer", "only_tone", "fixed_tone", "only_regions")
"""Settings that say which weights are trained, and how."""

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
        if stable.exists():
            raise TrainingError(f"{out}: {LATEST} is missing; put it back, or name another folder.")
        return None
    if not resume:
        raise TrainingError(f"{out}: holds a run already; --resume continues it, or name another folder.")
    checkpoint = load_checkpoint(latest)
    if checkpoint.annealing and settings["steps"] != checkpoint.recipe["steps"] and stable.exists():
        # Annealed weights train badly when they return to the full rate.
        checkpoint = load_checkpoint(stable)
    changed = {
        name: text for name, text in differences(checkpoint.recipe, settings).items() if name not in FREE
    }
    if shape := [text for name, text in changed.items() if name.startswith(f"{architecture}.")]:
        raise TrainingError(f"{out}: holds a run of another network ({listed(shape, 6)}).")
    if changed and not change:
        raise TrainingError(
            f"{out}: holds a run with other settings ({listed(list(changed.values()), 6)}); "
            "--change continues with the new ones."
        )
    return checkpoint


def changed_weights(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """The changed settings that say which weights are trained, and how; empty for none of them.

    The state of the optimizer belongs to the weights that an older run trained, in their order.
    """
    changed = differences(theirs, ours)
    return listed([text for name, text in changed.items() if name in WEIGHTS], 6)


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, str]:
    """How the settings of an older run differ from ours: "name theirs -> ours" by dotted name."""
    # Settings that older runs lack were off, as they are by default, except LATER.
    before, now = LATER | _entries(theirs), LATER | _entries(ours)
    changed = [name for name in {**now, **before} if (now.get(name) or None) != (before.get(name) or None)]
    return {name: f"{name} {before.get(name)} -> {now.get(name)}" for name in changed}


def _entries(settings: dict[str, Any]) -> dict[str, Any]:
    """The leaves of settings as JSON would give them back, by dotted name."""
    return dict(_leaves(json.loads(json.dumps(settings)), ""))


def _leaves(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value

"""Sample pictures of a run for people: damaged, restored at the start, restored now, clean.

Shapes: K kinds of damage, S = side of a sample.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from clearair.errors import TrainingError
from clearair.evaluation.held_out import HeldOutViews
from clearair.placing import write_atomically

SAMPLES = "samples.safetensors"


@dataclass(frozen=True, eq=False)
class Samples:
    """One window of a held-out picture a kind, all (K, 3, S, S) uint8."""

    kinds: tuple[str, ...]
    damaged: Tensor
    clean: Tensor
    now: Tensor
    start: Tensor | None
    """None if the start of the run was not validated."""


def save_samples(out: Path, views: HeldOutViews, start: Tensor | None, now: Tensor) -> None:
    """Replace the samples of a run folder."""
    tensors = {"damaged": views.damaged, "clean": views.clean, "now": now}
    if start is not None:
        tensors["start"] = start
    whole = {name: value.clone() for name, value in tensors.items()}  # none may share memory
    data = save(whole, {"kinds": json.dumps(views.kinds)})
    write_atomically(out / SAMPLES, data, overwrite=True)


def load_samples(out: Path) -> Samples | None:
    """The samples of a run folder; None when it has none. Raises TrainingError when they are damaged."""
    path = out / SAMPLES
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            kinds = tuple(json.loads(file.metadata()["kinds"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Samples(kinds, tensors["damaged"], tensors["clean"], tensors["now"], tensors.get("start"))
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise TrainingError(f"{path}: cannot be read ({error}); delete it.") from error

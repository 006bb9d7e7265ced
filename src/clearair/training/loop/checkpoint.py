"""Checkpoints: one safetensors file with the complete state of a run, replaced atomically.

No random state is kept: every random number of a run is a function of its seed and the step.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from clearair.errors import TrainingError


@dataclass(frozen=True)
class Checkpoint:
    """A run at the end of a step."""

    step: int
    """Steps done."""
    recipe: dict[str, Any]
    tensors: dict[str, Tensor]
    """`network.*`, `average.*` and `optimizer.*`."""
    seconds: float
    """Time spent training so far, in all parts of the run."""
    norms: tuple[float, ...] = ()
    """Norms of the last gradients, from which spikes are detected."""

    @property
    def annealing(self) -> bool:
        """Whether the learning rate had begun to fall."""
        if "decay_steps" not in self.recipe:
            return False
        return self.step > max(0, int(self.recipe["steps"]) - int(self.recipe["decay_steps"]))

    def restore(
        self, network: nn.Module, average: nn.Module, optimizers: list[torch.optim.Optimizer]
    ) -> None:
        """Load everything into place. Raises TrainingError when the shapes are another network's."""
        self._load(network, "network")
        self._load(average, "average")
        for index, optimizer in enumerate(optimizers):
            state = optimizer.state_dict()
            state["state"] = {}
            for name, tensor in self.below(f"optimizer.{index}").items():
                parameter, entry = name.split(".")
                state["state"].setdefault(int(parameter), {})[entry] = tensor.clone()
            optimizer.load_state_dict(state)

    def load_average(self, network: nn.Module) -> None:
        """Load the averaged weights. Raises TrainingError when the shapes are another network's."""
        self._load(network, "average")

    def _load(self, module: nn.Module, name: str) -> None:
        weights = self.below(name)
        if difference := unlike(module, weights):
            raise TrainingError(f"The checkpoint holds another network than the recipe's: {difference}.")
        module.load_state_dict(weights)

    def below(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under a prefix, without it."""
        start = prefix + "."
        return {name.removeprefix(start): t for name, t in self.tensors.items() if name.startswith(start)}


def unlike(network: nn.Module, weights: Mapping[str, Tensor]) -> str:
    """The number of tensors that are missing or differ in shape, and the first; empty when all fit."""
    ours = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    theirs = {name: tuple(value.shape) for name, value in weights.items()}
    names = sorted(name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name))
    return f"{len(names)} tensors differ, the first is {names[0]}" if names else ""


def capture(
    step: int,
    recipe: dict[str, Any],
    network: nn.Module,
    average: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    seconds: float,
    norms: tuple[float, ...] = (),
) -> Checkpoint:
    """The current state of the run."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    for index, optimizer in enumerate(optimizers):
        for parameter, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                tensors[f"optimizer.{index}.{parameter}.{name}"] = value
    return Checkpoint(step, recipe, tensors, seconds, norms)


def check_room(network: nn.Module, folder: Path) -> None:
    """Raises TrainingError when a disk has no room for two checkpoints of a network, one beside the other."""
    weights = sum(value.nbytes for value in network.state_dict().values())
    _check_free(folder, 2 * 4 * weights)  # the network, its average, and at most two moments of each weight


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write whole or not at all. Raises TrainingError when a value is not finite or there is no room."""
    kept = "; the previous file stays" if path.exists() else ""
    _check_free(path.parent, sum(value.nbytes for value in checkpoint.tensors.values()), kept)
    bad = [name for name, value in checkpoint.tensors.items() if not value.isfinite().all()]
    if bad:
        raise TrainingError(
            f"{path}: not written, since {len(bad)} tensors are not finite, such as {bad[0]}."
        )
    partial = path.with_suffix(".partial")
    about = {
        "step": checkpoint.step,
        "seconds": checkpoint.seconds,
        "norms": checkpoint.norms,
        "recipe": checkpoint.recipe,
    }
    tensors = {name: value.detach().contiguous().cpu() for name, value in checkpoint.tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            # `save_file` would leave a file of another name behind if the process were killed.
            file.write(save(tensors, {"clearair": json.dumps(about)}))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise TrainingError(f"{path}: cannot be written, the previous file stays: {error}.") from error


def _check_free(folder: Path, needed: int, consequence: str = "") -> None:
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise TrainingError(
            f"{folder}: there must be room for {needed / 1e6:,.1f} MB of checkpoints, but only "
            f"{free / 1e6:,.1f} MB are free{consequence}."
        )


def load_checkpoint(path: Path) -> Checkpoint:
    """Raises TrainingError when the file is missing or no checkpoint."""
    with _explained(path), safe_open(path, "pt") as file:
        about = _about(file)
        step, recipe, seconds = int(about["step"]), dict(about["recipe"]), float(about["seconds"])
        norms = tuple(float(norm) for norm in about.get("norms", ()))
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return Checkpoint(step, recipe, tensors, seconds, norms)


def read_standing(path: Path) -> tuple[int, int]:
    """Return the step of a checkpoint and its recipe's steps, without its weights. Raises TrainingError."""
    with _explained(path), safe_open(path, "pt") as file:
        about = _about(file)
        return int(about["step"]), int(about["recipe"]["steps"])


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Raise TrainingError for whatever is wrong with a file."""
    try:
        yield
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: there is no such file.") from error
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except SafetensorError as error:
        raise TrainingError(f"{path}: not a checkpoint, or cut off: {error}.") from error
    except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise TrainingError(f"{path}: not a checkpoint of `clearair train`, or damaged.") from error


def _about(file: Any) -> dict[str, Any]:
    """What a checkpoint says of its run."""
    about: dict[str, Any] = json.loads((file.metadata() or {})["clearair"])
    return about

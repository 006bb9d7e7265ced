"""Training data of the recognizer: features and labels of pictures, and their files.

Shapes: N pictures, K kinds, D entries of what the head reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from clearair.errors import ConfigError, DataError
from clearair.perception.compact.eyes import CompactEyes, picture_clues
from clearair.perception.compact.recognition import Recognizer
from clearair.placing import write_atomically
from clearair.training.perceivers.examples import Example


@dataclass(frozen=True)
class Observations:
    """Features and labels of N pictures."""

    seen: Tensor
    """(N, D) statistics of the backbone and features of the eyes."""
    eye_logits: Tensor
    """(N, K) logits that the eyes alone give."""
    label: Tensor
    """(N, K): 1, 0, or NaN if unknown."""
    weight: Tensor
    """(N, K)."""
    groups: tuple[str, ...]
    """Where each comes from."""

    def of(self, chosen: Tensor) -> Observations:
        """Return the observations of the chosen pictures, for (N,) bool."""
        rows = chosen.nonzero()[:, 0]
        groups = tuple(self.groups[row] for row in rows.tolist())
        return Observations(
            self.seen[rows], self.eye_logits[rows], self.label[rows], self.weight[rows], groups
        )

    def usual(self, reasons: Iterable[str]) -> Tensor:
        """(N,) bool: all but photographs that are unusual for one of these reasons (`HeldOut.unusual`).

        Such photographs are much rarer in practice than on the list.
        """
        unusual = tuple(f"undamaged {why}" for why in reasons)
        return torch.tensor([not group.startswith(unusual) for group in self.groups])

    @classmethod
    def joined(cls, parts: list[Observations]) -> Observations:
        """Concatenate observations in their order."""
        return cls(
            torch.cat([part.seen for part in parts]),
            torch.cat([part.eye_logits for part in parts]),
            torch.cat([part.label for part in parts]),
            torch.cat([part.weight for part in parts]),
            tuple(group for part in parts for group in part.groups),
        )


@torch.no_grad()
def observe(eyes: CompactEyes, recognizer: Recognizer, examples: Iterable[Example]) -> Observations:
    """Look at examples. Raises DataError without any."""
    seen, eye_logits, label, weight, groups = [], [], [], [], []
    for example in examples:
        sight = eyes(example.images)
        features = recognizer.features(example.images)
        seen.append(torch.cat([features, picture_clues(sight).float()], dim=1))
        eye_logits.append(eyes.picture_kind_logits(sight).float())
        label.append(example.label)
        weight.append(example.weight)
        groups += [example.group] * len(example.images)
    if not seen:
        raise DataError("None of the pictures of this part can be read.")
    # Rounded immediately, as when saved, so that a resumed run fits the same numbers.
    rounded = torch.cat(seen).half().float()
    return Observations(rounded, torch.cat(eye_logits), torch.cat(label), torch.cat(weight), tuple(groups))


def save_observations(seen: Observations, path: Path, origin: str) -> None:
    """Write observations atomically; `origin` identifies the perceivers and the recipe."""
    tensors = {"seen": seen.seen.half(), "told": seen.eye_logits, "label": seen.label, "weight": seen.weight}
    plain = {name: value.contiguous() for name, value in tensors.items()}
    data = save(plain, {"groups": "\n".join(seen.groups), "whose": origin})
    write_atomically(path, data, overwrite=True)


def load_observations(path: Path, origin: str) -> Observations | None:
    """Return saved observations; None when there are none, or they are damaged.

    Raises ConfigError when their origin is another one.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            described = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError:
        return None
    if described["whose"] != origin:
        raise ConfigError(f"{path}: was made with other eyes or another recipe; choose another --out.")
    groups = tuple(described["groups"].split("\n"))
    return Observations(tensors["seen"].float(), tensors["told"], tensors["label"], tensors["weight"], groups)

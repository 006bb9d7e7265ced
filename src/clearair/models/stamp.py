"""Which perceivers a restorer was trained with; with others its guidance would mean something else."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch

from clearair.errors import ModelError
from clearair.perception.compact.perceiver import CompactPerceiver


@dataclass(frozen=True)
class PerceiverStamp:
    """Name, sizes and weights of the perceivers, as a saved model records them."""

    name: str
    fingerprint: str
    """SHA-256 over names, shapes and float32 values of all tensors, hexadecimal."""
    quality_dim: int
    content_dim: int
    degradation_dim: int
    region_count: int

    @classmethod
    def of(cls, perceiver: CompactPerceiver) -> PerceiverStamp:
        """The stamp of perceivers at hand."""
        config = perceiver.config
        return cls(
            name="compact",
            fingerprint=_fingerprint(perceiver.eyes),
            quality_dim=config.quality_dim,
            content_dim=config.content_dim,
            degradation_dim=config.degradation_dim,
            region_count=config.region_count,
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PerceiverStamp:
        """The opposite of `to_dict`. Raises ModelError for a missing, unknown or mistyped field."""
        types = {field.name: str if field.name in ("name", "fingerprint") else int for field in fields(cls)}
        if set(values) != set(types):
            raise ModelError(f"its perceivers need the fields {', '.join(types)}; got {', '.join(values)}")
        for name, kind in types.items():
            if type(values[name]) is not kind:
                raise ModelError(f"its perceivers.{name} must be {kind.__name__}, got {values[name]!r}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def check(self, other: PerceiverStamp) -> None:
        """Raise ModelError when `other` are not the perceivers that this stamp was made of."""
        for field in fields(self):
            ours, theirs = getattr(self, field.name), getattr(other, field.name)
            if ours != theirs:
                raise ModelError(
                    f"the model was trained with other perceivers: their {field.name} is {_short(ours)}, "
                    f"but {_short(theirs)} in the ones at hand; use the version of clearair it was made with"
                )


def _fingerprint(module: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} ".encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


def _short(value: str | int) -> str:
    return str(value)[:12]

"""Identifies the perceivers of a restorer; guidance from others would have a different meaning."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from clearair.errors import ModelError
from clearair.perception.protocol import Identity, Perceiver


@dataclass(frozen=True)
class PerceiverStamp(Identity):
    """The identity of the perceivers, as a saved model records it."""

    @classmethod
    def of(cls, perceiver: Perceiver) -> PerceiverStamp:
        """The stamp of perceivers at hand."""
        return cls(**asdict(perceiver.identity))

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
        """Raise ModelError when `other` are not the perceivers of this stamp."""
        for field in fields(self):
            ours, theirs = getattr(self, field.name), getattr(other, field.name)
            if ours != theirs:
                name = field.name
                if name == "fingerprint":
                    ours, theirs = ours[:12], theirs[:12]
                raise ModelError(
                    f"the model was trained with other perceivers: their {name} is {ours}, but {theirs} in "
                    f"the ones at hand; {_advice(name, self.name)}"
                )


def _advice(field: str, name: str) -> str:
    if field == "name" and name == "compact":
        return "it has the embedded ones: leave out --quality, --regions and --degradation"
    if field == "name":
        return "name those with --quality, --regions and --degradation"
    if name != "compact":
        return "use the weight files and settings it was trained with"
    return "use the version of clearair it was made with"

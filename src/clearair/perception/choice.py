"""Which perceivers to use, as people write it: `compact`, or `sam2=FILE`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearair.errors import UsageError

if TYPE_CHECKING:
    from clearair.perception.protocol import Perceiver


@dataclass(frozen=True)
class Choice:
    """One perceiver for each question, each NAME or NAME=WEIGHTS."""

    quality: str = "compact"
    regions: str = "compact"
    degradation: str = "compact"

    def load(self, *, device: str = "cpu") -> Perceiver:
        """The embedded perceiver where nothing else is chosen, else a mix.

        Raises ModelError and UsageError.
        """
        from clearair.perception import load_compact, load_degradation, load_quality, load_regions

        if self == Choice():
            return load_compact(device=device)
        from clearair.perception.mixed import MixedPerceiver

        name, weights = _parts(self.quality)
        if name == "deqa":  # it stays where it is loaded, and in 32 bits fits few machines
            quality = load_quality(name, weights, device="auto", precision="bf16")
        else:
            quality = load_quality(name, weights, device=device)
        return MixedPerceiver(
            quality,
            load_regions(*_parts(self.regions), device=device),
            load_degradation(*_parts(self.degradation), device=device),
        )


def _parts(text: str) -> tuple[str, str | None]:
    name, equals, weights = text.partition("=")
    if not name or (equals and not weights):
        raise UsageError(f"A perceiver is NAME or NAME=WEIGHTS, such as sam2=FOLDER; got {text!r}.")
    return name, weights or None

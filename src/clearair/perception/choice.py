"""Parses the choice of perceivers, such as `compact` or `sam2=FILE`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from clearair.errors import UsageError

if TYPE_CHECKING:
    from clearair.perception.compact.perceiver import CompactPerceiver
    from clearair.perception.protocol import BatchPerceiver, QualityRole


@dataclass(frozen=True)
class Choice:
    """One perceiver for each question, each NAME or NAME=WEIGHTS."""

    quality: str = "compact"
    regions: str = "compact"
    degradation: str = "compact"
    quality_precision: str | None = None
    """Of "deqa" alone: fp32, bf16 (as None), fp16, int8 or nf4."""
    quality_device: str | None = None
    """Of "deqa" alone: auto (as None), where it chooses and may use several devices, or the name of one."""

    def load(self, *, device: str = "cpu") -> BatchPerceiver:
        """The embedded perceiver where nothing else is chosen, else a mix.

        Raises ModelError and UsageError.
        """
        from clearair.perception import load_compact, load_degradation, load_regions

        if self == Choice():
            return load_compact(device=device)
        from clearair.perception.compact.roles import CompactDegradation, CompactRegions
        from clearair.perception.mixed import MixedPerceiver

        # Loaded once for all roles, so that they can share one look at each image.
        compact = cache(lambda weights: load_compact(weights, device=device))
        regions, region_weights = _parts(self.regions)
        degradation, degradation_weights = _parts(self.degradation)
        return MixedPerceiver(
            self._load_quality(compact, device),
            CompactRegions(compact(region_weights))
            if regions == "compact"
            else load_regions(regions, region_weights, device=device),
            CompactDegradation(compact(degradation_weights))
            if degradation == "compact"
            else load_degradation(degradation, degradation_weights, device=device),
        )

    def _load_quality(self, compact: Callable[[str | None], CompactPerceiver], device: str) -> QualityRole:
        from clearair.perception import load_quality
        from clearair.perception.compact.roles import CompactQuality

        name, weights = _parts(self.quality)
        if name == "deqa":  # it stays on its device, and few machines can hold it in 32 bits
            precision = self.quality_precision or "bf16"
            return load_quality(name, weights, device=self.quality_device or "auto", precision=precision)
        if self.quality_precision or self.quality_device:
            raise UsageError(f"A precision and a device of quality are for deqa=FOLDER, not for {name!r}.")
        return (
            CompactQuality(compact(weights))
            if name == "compact"
            else load_quality(name, weights, device=device)
        )


def _parts(text: str) -> tuple[str, str | None]:
    name, equals, weights = text.partition("=")
    if not name or (equals and not weights):
        raise UsageError(f"A perceiver is NAME or NAME=WEIGHTS, such as sam2=FOLDER; got {text!r}.")
    return name, weights or None

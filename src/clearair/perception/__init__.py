"""Frozen eyes: how good is the image, where are its regions, what is wrong with it.

PyTorch is imported when a perceiver is loaded, not with this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearair.errors import ModelError, UsageError
from clearair.perception.percepts import LEVELS, Degradation, Percepts, Quality

if TYPE_CHECKING:
    from clearair.perception.compact.perceiver import CompactPerceiver
    from clearair.perception.compact.roles import CompactDegradation, CompactQuality, CompactRegions
    from clearair.perception.daclip import DaClipDegradation

__all__ = [
    "LEVELS",
    "CompactPerceiver",
    "Degradation",
    "Percepts",
    "Quality",
    "load_compact",
    "load_degradation",
    "load_quality",
    "load_regions",
]


def load_compact(weights: Path | str | None = None, *, device: str = "cpu") -> CompactPerceiver:
    """The embedded perceiver, all three roles in one look.

    Raises ModelError when its files are missing or damaged.
    """
    from clearair.perception.compact.perceiver import load_compact as load

    return load(None if weights is None else Path(weights)).to(device)


def load_quality(name: str, weights: Path | str | None = None, *, device: str = "cpu") -> CompactQuality:
    """How: a perceiver of quality, by name: "compact". Raises ModelError and UsageError."""
    perceiver = _load(name, "deqa", weights, device)
    from clearair.perception.compact.roles import CompactQuality

    return CompactQuality(perceiver)


def load_regions(name: str, weights: Path | str | None = None, *, device: str = "cpu") -> CompactRegions:
    """Where: a perceiver of regions, by name: "compact". Raises ModelError and UsageError."""
    perceiver = _load(name, "sam2", weights, device)
    from clearair.perception.compact.roles import CompactRegions

    return CompactRegions(perceiver)


def load_degradation(
    name: str,
    weights: Path | str | None = None,
    *,
    device: str = "cpu",
    config: Mapping[str, Any] | Path | str | None = None,
) -> CompactDegradation | DaClipDegradation:
    """What: a perceiver of degradations, by name: "compact" or "daclip". Raises ModelError and UsageError.

    `weights` of "daclip" is its authors' file, or a folder that holds it; `config`, in open_clip's format,
    overrides the sizes that its tensors have.
    """
    if name == "daclip":
        if weights is None:
            raise UsageError("The perceiver 'daclip' needs weights: the file of its authors, or its folder.")
        from clearair.perception.daclip import load_daclip

        return load_daclip(weights, config).to(device)
    if config is not None:
        raise UsageError(f"The perceiver {name!r} takes no config.")
    perceiver = _load(name, "daclip", weights, device)
    from clearair.perception.compact.roles import CompactDegradation

    return CompactDegradation(perceiver)


def _load(name: str, planned: str, weights: Path | str | None, device: str) -> CompactPerceiver:
    if name == planned:
        raise ModelError(f"The perceiver {name!r} is not in this version of clearair yet; use 'compact'.")
    if name != "compact":
        raise UsageError(f"There is no perceiver {name!r}; use 'compact'.")
    return load_compact(weights, device=device)


def __getattr__(name: str) -> Any:
    if name == "CompactPerceiver":
        from clearair.perception.compact.perceiver import CompactPerceiver

        return CompactPerceiver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

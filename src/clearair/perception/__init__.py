"""Frozen perceivers: how good is the image, where are its regions, what is wrong with it.

PyTorch is imported when a perceiver is loaded, not with this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearair.errors import UsageError
from clearair.percepts import LEVELS, Degradation, Percepts, Quality

if TYPE_CHECKING:
    from clearair.perception.compact.perceiver import CompactPerceiver
    from clearair.perception.compact.roles import CompactDegradation, CompactQuality, CompactRegions
    from clearair.perception.daclip import DaClipDegradation
    from clearair.perception.deqa.perceiver import DeqaQuality
    from clearair.perception.sam2 import MaskSettings, Sam2Regions

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
    """The embedded perceiver, which answers all three questions in one pass.

    Raises ModelError when its files are missing or damaged.
    """
    from clearair.perception.compact.perceiver import load_compact as load

    return load(None if weights is None else Path(weights).expanduser()).to(device)


def load_quality(
    name: str,
    weights: Path | str | None = None,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    config: Mapping[str, Any] | Path | str | None = None,
) -> CompactQuality | DeqaQuality:
    """How: a perceiver of quality, by name: "compact", or "deqa" with the folder of its weights.

    `precision` (fp32, bf16, fp16; on a GPU also int8, nf4) and `config` are for "deqa"; `device="auto"` lets
    it choose. Raises ModelError and UsageError.
    """
    if name == "deqa":
        from clearair.perception.deqa.perceiver import load_deqa

        folder = None if weights is None else Path(weights).expanduser()
        return load_deqa(folder, device=device, precision=precision, config=config)
    if name != "compact":
        raise UsageError(f"There is no perceiver of quality {name!r}; use 'compact' or 'deqa'.")
    if config is not None or precision != "fp32":
        raise UsageError("The perceiver 'compact' takes no config, and its precision is fp32.")
    from clearair.perception.compact.roles import CompactQuality

    return CompactQuality(load_compact(weights, device=device))


def load_regions(
    name: str,
    weights: Path | str | None = None,
    *,
    device: str = "cpu",
    config: Mapping[str, Any] | Path | str | None = None,
    settings: MaskSettings | None = None,
) -> CompactRegions | Sam2Regions:
    """Where: a perceiver of regions, by name: "compact" or "sam2". Raises ModelError and UsageError.

    `weights` of "sam2" is its authors' file, or a folder of the Hub; `config` overrides the sizes that the
    file has, `settings` control how masks are generated and chosen.
    """
    if name == "sam2":
        if weights is None:
            raise UsageError("The perceiver 'sam2' needs weights: the file of its authors, or a folder.")
        from clearair.perception.sam2 import load_sam2

        return load_sam2(weights, config, settings).to(device)
    if name != "compact":
        raise UsageError(f"There is no perceiver of regions {name!r}; use 'compact' or 'sam2'.")
    if config is not None or settings is not None:
        raise UsageError("The perceiver 'compact' takes no config and no settings.")
    from clearair.perception.compact.roles import CompactRegions

    return CompactRegions(load_compact(weights, device=device))


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
    if name != "compact":
        raise UsageError(f"There is no perceiver of degradations {name!r}; use 'compact' or 'daclip'.")
    if config is not None:
        raise UsageError("The perceiver 'compact' takes no config.")
    from clearair.perception.compact.roles import CompactDegradation

    return CompactDegradation(load_compact(weights, device=device))


def __getattr__(name: str) -> Any:
    if name == "CompactPerceiver":
        from clearair.perception.compact.perceiver import CompactPerceiver

        return CompactPerceiver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

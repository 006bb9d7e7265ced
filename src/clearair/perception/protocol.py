"""The interfaces of perceivers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clearair.errors import UsageError
from clearair.perception.confidence import Caution
from clearair.percepts import Degradation, Floats, Labels, Percepts, Quality

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from clearair.percepts import Guidance


@dataclass(frozen=True)
class Identity:
    """Identifies a perceiver. Guidance of another one may have the same shape but a different meaning."""

    name: str
    fingerprint: str
    """SHA-256 over names, shapes and float32 values of all tensors, hexadecimal."""
    quality_dim: int
    content_dim: int
    degradation_dim: int
    region_count: int


class Perceiver(Protocol):
    """Says how good an image is, where its regions are and what is wrong with it.

    Frozen: it is not trained with a restorer, and the same image gives the same answer.
    """

    @property
    def identity(self) -> Identity:
        """Its name, its weights and the sizes of its answers."""

    def to(self, device: Any) -> Perceiver:
        """Move to a device; returns itself."""

    def perceive_image(self, image: NDArray[Any]) -> Percepts:
        """One RGB image (H, W, 3), uint8, uint16 or float in [0, 1], of any size.

        Raises ImageError when it is not such an array.
        """


def check_perceiver(perceiver: Any) -> None:
    """Raise UsageError for anything but a perceiver, such as its name."""
    if not hasattr(perceiver, "perceive_image") or not hasattr(perceiver, "identity"):
        raise UsageError(
            f"A perceiver is an object such as load_compact() returns, got {perceiver!r}; without it the one "
            "that ships is used."
        )


class BatchPerceiver(Perceiver, Protocol):
    """A perceiver that also looks at batches of tensors, as training needs it; it runs on PyTorch."""

    def to(self, device: Any) -> BatchPerceiver:
        """Move to a device; returns itself."""

    def perceive(self, images: Tensor) -> Guidance:
        """RGB in [0, 1], (B, 3, H, W) of any size -> guidance for a restorer, on their device."""


class QualityRole(Protocol):
    """How: assesses whole images."""

    @property
    def name(self) -> str:
        """Such as "deqa"."""

    @property
    def fingerprint(self) -> str:
        """Hexadecimal; other weights have another one."""

    @property
    def quality_dim(self) -> int:
        """Entries of its embedding."""

    def to(self, device: torch.device | str) -> QualityRole:
        """Move to a device; returns itself."""

    def assess(self, images: Sequence[NDArray[Any]]) -> Quality:
        """Score, levels and embedding of each image, (H, W, 3) uint8."""


class RegionRole(Protocol):
    """Where: divides images into regions."""

    @property
    def name(self) -> str:
        """Such as "sam2"."""

    @property
    def fingerprint(self) -> str:
        """Hexadecimal; other weights, or settings that change the regions, have another one."""

    @property
    def region_count(self) -> int:
        """Labels there may be, 0 included."""

    def to(self, device: torch.device | str) -> RegionRole:
        """Move to a device; returns itself."""

    def segment(self, images: Sequence[NDArray[Any]]) -> list[Labels]:
        """One label map (H, W) an image, (H, W, 3) uint8; 0 = no region claims the pixel."""


class DegradationRole(Protocol):
    """What: identifies content and degradations."""

    @property
    def name(self) -> str:
        """Such as "daclip"."""

    @property
    def fingerprint(self) -> str:
        """Hexadecimal; other weights have another one."""

    @property
    def content_dim(self) -> int:
        """Entries of a content embedding."""

    @property
    def degradation_dim(self) -> int:
        """Entries of a degradation embedding."""

    @property
    def caution(self) -> Caution:
        """How far its probabilities allow a picture to be changed."""

    def to(self, device: torch.device | str) -> DegradationRole:
        """Move to a device; returns itself."""

    def identify(
        self, images: Sequence[NDArray[Any]], labels: Sequence[NDArray[Any]] | None = None
    ) -> Degradation:
        """Embeddings and probabilities of each image, (H, W, 3) uint8; with label maps also of regions."""

    def probabilities(self, embeddings: Floats) -> Floats | None:
        """That each kind is present, of degradation embeddings: (N, D_d) -> (N, K); None without words."""


def fingerprint(module: nn.Module) -> str:
    """`fingerprint_of` the tensors of a module."""
    return fingerprint_of(
        {name: value.detach().float().cpu().numpy() for name, value in module.state_dict().items()}
    )


def fingerprint_of(tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, shapes and float32 values of all tensors, hexadecimal."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {tuple(value.shape)} ".encode())
        digest.update(np.ascontiguousarray(value, "<f4").tobytes())
    return digest.hexdigest()

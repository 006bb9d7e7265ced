"""The compact perceiver in each of the three roles, on lists of images of any and differing sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ImageError
from clearair.perception.compact.eyes import Sight
from clearair.perception.compact.perceiver import CompactPerceiver
from clearair.perception.confidence import Caution
from clearair.percepts import Degradation, Floats, Labels, Percepts, Quality

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


_Look = tuple[Sight, Floats, Percepts]
_looks: ContextVar[dict[tuple[int, int], _Look] | None] = ContextVar("looks", default=None)


@contextmanager
def sharing_looks() -> Iterator[None]:
    """Let roles of one perceiver share results for images that exist and stay unchanged meanwhile."""
    token = _looks.set({})
    try:
        yield
    finally:
        _looks.reset(token)


class _CompactRole:
    """The perceiver that the three roles share, and its identity."""

    name = "compact"

    def __init__(self, perceiver: CompactPerceiver) -> None:
        self._perceiver = perceiver

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights, hexadecimal."""
        return self._perceiver.identity.fingerprint

    def to(self, device: torch.device | str) -> Self:
        """Move to a device; returns itself."""
        self._perceiver.to(device)
        return self

    def _look(self, image: NDArray[Any]) -> _Look:
        looks, key = _looks.get(), (id(self._perceiver), id(image))
        if looks is not None and key in looks:
            return looks[key]
        sight, evident = self._perceiver.look(image), self._perceiver.evidence(image)
        look = sight, evident, self._perceiver.percepts_of(image, sight, evident)
        if looks is not None:
            looks[key] = look
        return look


class CompactQuality(_CompactRole):
    """How good: assesses whole images."""

    @property
    def quality_dim(self) -> int:
        """Entries of its embedding."""
        return self._perceiver.config.quality_dim

    def assess(self, images: Sequence[NDArray[np.uint8] | Image]) -> Quality:
        """Score, levels and embedding of each image (PIL, or (H, W, 3) uint8)."""
        seen = [self._look(_pixels(image))[-1] for image in images]
        dim = self._perceiver.config.quality_dim
        return Quality(
            score=np.array([percepts.score for percepts in seen], np.float32),
            levels=_stacked([percepts.levels for percepts in seen], 5),
            embedding=_stacked([percepts.guidance.quality[0] for percepts in seen], dim),
        )


class CompactRegions(_CompactRole):
    """Where: divides images into regions."""

    @property
    def region_count(self) -> int:
        """Labels there may be, 0 included."""
        return self._perceiver.config.region_count

    def segment(self, images: Sequence[NDArray[np.uint8] | Image]) -> list[Labels]:
        """One label map (H, W) an image; 0 = no region claims the pixel, 1 = the largest region."""
        return [self._look(_pixels(image))[-1].labels for image in images]


class CompactDegradation(_CompactRole):
    """What: identifies content and degradations."""

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds that it knows."""
        return self._perceiver.config.kinds

    @property
    def caution(self) -> Caution:
        """How far its probabilities allow a picture to be changed."""
        return self._perceiver.caution

    @property
    def content_dim(self) -> int:
        """Entries of a content embedding."""
        return self._perceiver.config.content_dim

    @property
    def degradation_dim(self) -> int:
        """Entries of a degradation embedding."""
        return self._perceiver.config.degradation_dim

    def identify(
        self,
        images: Sequence[NDArray[np.uint8] | Image],
        labels: Sequence[NDArray[Any]] | None = None,
    ) -> Degradation:
        """Embeddings and probabilities of each image; with label maps (H, W) also an embedding a region.

        Raises ImageError when a label map does not have the size of its image.
        """
        looks = [self._look(_pixels(image)) for image in images]
        seen = [percepts for _, _, percepts in looks]
        config = self._perceiver.config
        return Degradation(
            content=_stacked([percepts.guidance.content[0] for percepts in seen], config.content_dim),
            degradation=_stacked(
                [percepts.guidance.degradation[0] for percepts in seen], config.degradation_dim
            ),
            names=config.kinds,
            probabilities=_stacked([percepts.probabilities for percepts in seen], len(config.kinds)),
            local=None if labels is None else self._local(looks, labels),
            evidence=_stacked([evident for _, evident, _ in looks], len(config.kinds)),
        )

    def probabilities(self, embeddings: Floats) -> Floats:
        """That each kind is present, of degradation embeddings: (N, D_d) -> (N, K)."""
        return self._perceiver.probabilities(embeddings)

    def told(self, percepts: Percepts, kinds: Sequence[str]) -> Percepts:
        """The percepts of a picture whose user named exactly these kinds of damage."""
        return self._perceiver.told(percepts, kinds)

    def _local(self, looks: Sequence[_Look], labels: Sequence[NDArray[Any]]) -> tuple[Floats, ...]:
        if len(labels) != len(looks):
            raise ImageError(f"{len(looks)} images need as many label maps; got {len(labels)}.")
        for (_, _, percepts), regions in zip(looks, labels, strict=True):
            if regions.shape != percepts.labels.shape:
                raise ImageError(
                    f"A label map of shape {regions.shape} does not fit an image {percepts.labels.shape}."
                )
        return tuple(
            self._perceiver.local_degradation(sight, regions, percepts.probabilities, evident)
            for (sight, evident, percepts), regions in zip(looks, labels, strict=True)
        )


def _pixels(image: NDArray[np.uint8] | Image) -> NDArray[Any]:
    return image if isinstance(image, np.ndarray) else np.asarray(image.convert("RGB"))


def _stacked(rows: list[NDArray[np.float32]], width: int) -> NDArray[np.float32]:
    return np.stack(rows) if rows else np.zeros((0, width), np.float32)

"""One perceiver made of three: any How, any Where, any What.

Shapes: B images, H x W pixels, N regions, K kinds, Q / D_c / D_d entries of the three embeddings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearair.errors import ImageError
from clearair.perception.batches import perceive_as_arrays
from clearair.perception.compact.arrays import as_bytes
from clearair.perception.compact.roles import sharing_looks
from clearair.perception.protocol import DegradationRole, Identity, QualityRole, RegionRole
from clearair.perception.telling import Teachable, told
from clearair.percepts import Degradation, Floats, Guidance, Labels, Percepts


class MixedPerceiver:
    """Combines three perceivers, one for each question. They see 8 bits, as the paper's do. Frozen."""

    def __init__(self, quality: QualityRole, regions: RegionRole, degradation: DegradationRole) -> None:
        self.quality = quality
        self.regions = regions
        self.degradation = degradation

    @cached_property
    def identity(self) -> Identity:
        """Their three names and weights, and the sizes of their answers."""
        parts = (self.quality, self.regions, self.degradation)
        prints = " ".join(f"{part.name} {part.fingerprint}" for part in parts)
        return Identity(
            name=" + ".join(part.name for part in parts),
            fingerprint=hashlib.sha256(prints.encode()).hexdigest(),
            quality_dim=self.quality.quality_dim,
            content_dim=self.degradation.content_dim,
            degradation_dim=self.degradation.degradation_dim,
            region_count=self.regions.region_count,
        )

    @property
    def names(self) -> tuple[str, ...] | None:
        """The kinds of damage that it has names for; None where only percepts say so."""
        names: tuple[str, ...] | None = getattr(self.degradation, "names", None)
        return names

    def told(self, percepts: Percepts, kinds: Sequence[str]) -> Percepts:
        """The percepts when exactly these kinds are present, as the perceiver of damage puts it."""
        what = self.degradation
        return what.told(percepts, kinds) if isinstance(what, Teachable) else told(percepts, kinds)

    def to(self, device: torch.device | str) -> MixedPerceiver:
        """Move all three to a device; returns itself."""
        for part in (self.quality, self.regions, self.degradation):
            part.to(device)
        return self

    def perceive(self, images: Tensor) -> Guidance:
        """RGB in [0, 1], (B, 3, H, W) of any size -> what a restorer is told about them, on their device."""
        return perceive_as_arrays(images, self.perceive_images)

    def perceive_image(self, image: NDArray[Any]) -> Percepts:
        """One RGB image (H, W, 3), uint8, uint16 or float in [0, 1], of any size.

        Raises ImageError when it is not such an array.
        """
        return self.perceive_images([as_bytes(image)])[0]

    def perceive_images(self, images: list[NDArray[np.uint8]]) -> list[Percepts]:
        """Each of B images (H, W, 3); an embedded perceiver in several roles looks at each once."""
        with sharing_looks():
            quality = self.quality.assess(images)
            labels = self.regions.segment(images)
            found = self.degradation.identify(images, labels)
        return [
            self._percepts(
                (float(quality.score[index]), quality.levels[index], quality.embedding[index]),
                labels[index],
                found,
                index,
            )
            for index in range(len(images))
        ]

    def _percepts(
        self, quality: tuple[float, Floats, Floats], labels: Labels, found: Degradation, index: int
    ) -> Percepts:
        count = self.regions.region_count
        if labels.max() >= count:
            raise ImageError(f"A label map has label {labels.max()}, but its perceiver {count} regions.")
        whole = found.degradation[index]
        local = np.repeat(whole[None], count, axis=0)
        assert found.local is not None
        rows = found.local[index]
        local[: len(rows)] = rows
        # Without probabilities there are no kinds, rather than kinds of unknown probability.
        names = () if found.probabilities is None else found.names
        nothing = np.zeros((0,), np.float32)
        said = self.degradation.probabilities(local)
        if said is not None and found.evidence is not None:
            said = said * found.evidence[index]
        probabilities = nothing if found.probabilities is None else found.probabilities[index]
        shares = self.degradation.caution.shares(probabilities[None], names)
        guidance = Guidance(
            quality=quality[2][None],
            labels=labels[None],
            content=found.content[index : index + 1],
            degradation=whole[None],
            local_degradation=local[None],
            tone=shares.tone,
            change=shares.change,
            coarse=shares.coarse,
        )
        return Percepts(
            score=quality[0],
            levels=quality[1],
            guidance=guidance,
            names=names,
            probabilities=probabilities,
            local_probabilities=np.zeros((count, 0), np.float32) if said is None else said,
        )

"""Runs the compact perceiver: on batches of tensors for training, on one array for restoring.

Shapes: B images, H x W pixels, N regions, K kinds, Q / D_c / D_d entries of the three embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from clearair.network.guidance import to_arrays, to_tensors
from clearair.perception.compact.arrays import (
    check_image,
    enlarged,
    evident_in,
    far_view_of,
    near_crops_of,
    sample_of,
)
from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.eyes import CompactEyes, Sight
from clearair.perception.compact.geometry import near_grid
from clearair.perception.compact.judging import Findings, judged, map_size, pooled_by_region
from clearair.perception.compact.recognition import Recognizer
from clearair.perception.compact.stored import shipped_folder
from clearair.perception.compact.weights import load_perceiver
from clearair.perception.confidence import Caution
from clearair.perception.protocol import Identity, fingerprint
from clearair.percepts import Floats, Guidance, Percepts


class CompactPerceiver:
    """Quality, regions and damage in one pass. Frozen; the same image gives the same answer."""

    def __init__(
        self, eyes: CompactEyes, recognizer: Recognizer | None = None, caution: Caution | None = None
    ) -> None:
        """Without a recognizer the eyes alone say which kinds of damage a picture has."""
        self.eyes = eyes.eval().requires_grad_(False)
        self.recognizer = recognizer
        if recognizer is not None:
            recognizer.eval().requires_grad_(False)
        self.caution = caution or Caution()

    @property
    def config(self) -> EyesConfig:
        """Sizes of the embeddings and names of the kinds."""
        return self.eyes.config

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds of damage that it has probabilities for."""
        return self.config.kinds

    @property
    def identity(self) -> Identity:
        """Its name, its weights and the sizes of its answers."""
        return self.config.identity(self._fingerprint())

    def _fingerprint(self) -> str:
        if self.recognizer is None:
            return fingerprint(self.eyes)
        return fingerprint(torch.nn.ModuleDict({"eyes": self.eyes, "recognizer": self.recognizer}))

    def to(self, device: torch.device | str) -> CompactPerceiver:
        """Move to a device; returns itself."""
        self.eyes.to(device)
        if self.recognizer is not None:
            self.recognizer.to(device)
        return self

    @torch.no_grad()
    def perceive(self, images: Tensor) -> Guidance:
        """RGB in [0, 1], (B, 3, H, W) of any size -> guidance for a restorer.

        Unlike `perceive_image`, it does not check the pixels for evidence of the damage that is found.
        """
        size = (images.shape[2], images.shape[3])
        features = None if self.recognizer is None else self.recognizer.features(images)
        sight = self.eyes(images)
        guidance = self._guidance(sight, judged(self.eyes, self.recognizer, sight, features))
        if guidance.labels.shape[1:] == size:
            return guidance
        labels = F.interpolate(guidance.labels[:, None], size, mode="nearest-exact")[:, 0]
        return replace(guidance, labels=labels)

    @torch.no_grad()
    def perceive_image(self, image: NDArray[Any]) -> Percepts:
        """One RGB image (H, W, 3), uint8, uint16 or float in [0, 1], of any size.

        Raises ImageError when it is not such an array.
        """
        return self.percepts_of(image, self.look(image), self.evidence(image))

    @torch.no_grad()
    def percepts_of(self, image: NDArray[Any], sight: Sight, evident: Floats) -> Percepts:
        """What is perceived in an image (H, W, 3) that was looked at, with its `evidence` (K,)."""
        features = None if self.recognizer is None else self.recognizer.features_of(image)
        known = torch.from_numpy(evident).to(sight.degradation.device)
        found = judged(self.eyes, self.recognizer, sight, features, known)
        arrays = to_arrays(self._guidance(sight, found))
        labels = enlarged(arrays.labels[0], (image.shape[0], image.shape[1]))
        return Percepts(
            score=float(sight.score),
            levels=_array(sight.levels.softmax(dim=1)[0]),
            guidance=replace(arrays, labels=labels[None]),
            names=self.config.kinds,
            probabilities=_array(found.probabilities[0]),
            local_probabilities=_array(found.local_probabilities[0]),
        )

    def evidence(self, image: NDArray[Any]) -> Floats:
        """(K,) in [0, 1], how far each kind can be told from its absence in an image (H, W, 3)."""
        return evident_in(image, self.config.kinds)

    @torch.no_grad()
    def told(self, percepts: Percepts, kinds: Sequence[str]) -> Percepts:
        """The percepts of a picture whose user named exactly these kinds of damage.

        Its embeddings move to those of the kinds as far as the recognizer's `trust` allows.
        """
        device = next(self.eyes.parameters()).device
        present = [[float(name in kinds) for name in self.config.kinds]]
        there = torch.tensor(present, dtype=torch.float32, device=device)  # (1, K)
        guidance = self.declared(to_tensors(percepts.guidance).to(device), there)
        return replace(
            percepts,
            guidance=to_arrays(guidance),
            probabilities=_array(there[0]),
            local_probabilities=np.repeat(_array(there), guidance.regions, axis=0),
        )

    @torch.no_grad()
    def declared(self, guidance: Guidance, there: Tensor) -> Guidance:
        """Guidance for pictures with exactly these named kinds, (B, K) of 0 and 1."""
        shares = self.caution.shares(there, self.config.kinds)
        whole, local = guidance.degradation, guidance.local_degradation
        if self.recognizer is not None:
            whole, local = (
                self.recognizer.moved(own, self.recognizer.trust * there) for own in (whole, local)
            )
        return replace(
            guidance,
            degradation=whole,
            local_degradation=local,
            tone=shares.tone,
            change=shares.change,
            coarse=shares.coarse,
        )

    @torch.no_grad()
    def local_degradation(
        self, sight: Sight, labels: NDArray[Any], probabilities: Floats, evident: Floats
    ) -> Floats:
        """Degradation embedding of each region of a label map (H, W): (N, D_d), N = largest label + 1.

        `probabilities` (K,) of the whole image and its `evidence` (K,) say where the embeddings move to kinds
        that the eyes missed, as those of `percepts_of` do.
        """
        count, device = int(labels.max()) + 1, sight.degradation.device
        small = enlarged(labels, map_size(sight)).astype(np.int64)
        local = pooled_by_region(sight, torch.from_numpy(small)[None].to(device), count)
        if self.recognizer is not None:
            seen, known = (torch.from_numpy(values)[None].to(device) for values in (probabilities, evident))
            by_eyes = known * self.eyes.picture_kind_logits(sight).float().sigmoid()
            local = self.recognizer.moved(local, self.recognizer.missed(seen, by_eyes))
        return _array(local[0])

    @torch.no_grad()
    def probabilities(self, embeddings: Floats) -> Floats:
        """That each kind is present, of degradation embeddings alone: (N, D_d) -> (N, K)."""
        values = torch.from_numpy(embeddings).to(next(self.eyes.parameters()).device)
        return _array(self.eyes.kind_logits(values).sigmoid())

    @torch.no_grad()
    def look(self, image: NDArray[Any]) -> Sight:
        """Look at one RGB image (H, W, 3), uint8, uint16 or float in [0, 1]. Raises ImageError.

        Both views are taken from the array itself: of a large picture, no copy of another type is made.
        """
        check_image(image)
        config, device = self.config, next(self.eyes.parameters()).device
        grid = near_grid(image.shape[0], image.shape[1], config.near_crops, config.near_spacing)
        far, near, sample = (
            torch.from_numpy(view).to(device)
            for view in (
                far_view_of(image, config.far_pixels),
                near_crops_of(image, config.near_side, grid),
                sample_of(image),
            )
        )
        return self.eyes.see(far, near, grid, sample)

    def _guidance(self, sight: Sight, found: Findings) -> Guidance:
        """The label map is as large as the far view."""
        shares = self.caution.shares(found.probabilities, self.config.kinds)
        return Guidance(
            sight.quality.float(),
            found.labels,
            sight.content,
            found.degradation,
            found.local_degradation,
            shares.tone,
            shares.change,
            shares.coarse,
        )


def load_compact(folder: Path | None = None) -> CompactPerceiver:
    """The perceiver that ships with the package, or one saved in `folder`. Raises ModelError."""
    return CompactPerceiver(*load_perceiver(shipped_folder() if folder is None else folder))


def _array(values: Tensor) -> Floats:
    array: Floats = values.float().cpu().numpy()
    return array

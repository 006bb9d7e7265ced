"""Runs DA-CLIP: embeddings and the probabilities of ten words, for images and regions.

Shapes: B images, H x W pixels, N regions, D entries of an embedding, K words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearair.errors import ImageError
from clearair.perception.confidence import Caution
from clearair.perception.daclip.image import seen_pixels, to_picture
from clearair.perception.daclip.model import DaClip
from clearair.perception.daclip.tokens import WORDS
from clearair.perception.daclip.windows import region_windows
from clearair.perception.protocol import fingerprint
from clearair.percepts import Degradation, Floats

if TYPE_CHECKING:
    from PIL.Image import Image

BATCH = 64
"""Views in a batch."""
SHARPNESS = 100.0
"""Factor of the cosines in the softmax."""


class DaClipDegradation:
    """What: identifies content and degradations. Frozen; always float32."""

    name = "daclip"
    caution = Caution()
    """Its probabilities rank damage but never report a clean image, so they do not limit the change."""

    def __init__(self, model: DaClip) -> None:
        model = model.eval().requires_grad_(False)
        with torch.no_grad():
            self.words = model.words()
            """(K, D) what the words mean; None when the file has no text tower."""
        model.text = None  # the text tower is not needed any more
        self.model = model

    @property
    def content_dim(self) -> int:
        """D, entries of a content embedding."""
        return self.model.size.embedding

    @property
    def names(self) -> tuple[str, ...]:
        """The words that it has probabilities for; none when the file has no text tower."""
        return () if self.words is None else tuple(WORDS)

    @property
    def degradation_dim(self) -> int:
        """D, entries of a degradation embedding."""
        return self.model.size.embedding

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the image towers' weights, hexadecimal; the text tower does not count."""
        return fingerprint(self.model)

    def to(self, device: torch.device | str) -> DaClipDegradation:
        """Move to a device; returns itself."""
        self.model.to(device)
        self.words = None if self.words is None else self.words.to(device)
        return self

    def identify(
        self,
        images: Sequence[NDArray[Any] | Image],
        labels: Sequence[NDArray[Any]] | None = None,
    ) -> Degradation:
        """Embeddings and probabilities of each image; with label maps (H, W) also an embedding a region.

        Images are PIL images or (H, W, 3) arrays, uint8, or uint16 or float in [0, 1], which are rounded to 8
        bits. Regions are seen through a window each (see `region_windows`), those of an image in one batch; a
        region without pixels gets the image's own embedding. Raises ImageError for an array of another kind,
        or a label map that does not fit its image.
        """
        pictures = [to_picture(image) for image in images]
        side = self.model.size.vision.image
        content, degradation = self._looks([seen_pixels(picture, side) for picture in pictures])
        return Degradation(
            content=content,
            degradation=degradation,
            names=self.names,
            probabilities=self.probabilities(degradation),
            local=None if labels is None else self._local(pictures, labels, degradation),
        )

    def probabilities(self, embeddings: Floats) -> Floats | None:
        """Of the words, from degradation embeddings of images or regions: (..., D) -> (..., K), sum one."""
        if self.words is None:
            return None
        cosines = torch.from_numpy(embeddings).to(self.words.device) @ self.words.T
        return _array((SHARPNESS * cosines).softmax(dim=-1))

    def _local(
        self, pictures: list[Image], labels: Sequence[NDArray[Any]], whole: Floats
    ) -> tuple[Floats, ...]:
        if len(labels) != len(pictures):
            raise ImageError(f"{len(pictures)} images need as many label maps; got {len(labels)}.")
        for picture, regions in zip(pictures, labels, strict=True):
            if regions.shape != picture.size[::-1]:
                raise ImageError(f"A label map {regions.shape} does not fit an image {picture.size[::-1]}.")
        side, found = self.model.size.vision.image, []
        for picture, regions, embedding in zip(pictures, labels, whole, strict=True):
            windows = region_windows(regions, side)
            views = [seen_pixels(picture.crop(window.box), side) for window in windows.values()]
            local = np.repeat(embedding[None], max(windows) + 1, axis=0)
            local[list(windows)] = self._looks(views)[1]
            found.append(local)
        return tuple(found)

    @torch.no_grad()
    def _looks(self, views: list[Tensor]) -> tuple[Floats, Floats]:
        """Views (3, S, S) -> content and degradation of each, (B, D)."""
        empty = np.zeros((0, self.content_dim), np.float32)
        device = self.model.visual.proj.device
        seen = [
            self.model(torch.stack(views[start : start + BATCH]).to(device))
            for start in range(0, len(views), BATCH)
        ]
        content, degradation = (
            np.concatenate([empty, *(_array(part) for part in parts)])
            for parts in (zip(*seen, strict=True) if seen else ((), ()))
        )
        return content, degradation


def _array(values: Tensor) -> Floats:
    array: Floats = values.float().cpu().numpy()
    return array

"""Runs SAM 2: the regions of images as label maps.

Shapes: H x W pixels, P points, M masks, S = side of the square that the network sees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearair.perception.compact.arrays import as_bytes
from clearair.perception.protocol import fingerprint
from clearair.perception.sam2.masks import flatten_masks
from clearair.perception.sam2.pixels import brighten, normalised, point_grid, points_in_square, to_square
from clearair.perception.sam2.settings import MaskSettings
from clearair.percepts import Labels

if TYPE_CHECKING:
    from PIL.Image import Image


class Sam2Regions:
    """Where: divides images into regions. Frozen; always float32."""

    name = "sam2"

    def __init__(self, model: Any, settings: MaskSettings | None = None) -> None:
        """`model` is a transformers `Sam2Model`."""
        self.model = model.eval().requires_grad_(False)
        self.settings = settings or MaskSettings()
        self.side: int = model.config.prompt_encoder_config.image_size
        """S."""

    @property
    def region_count(self) -> int:
        """Labels there may be, 0 included."""
        return self.settings.regions + 1

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of weights and settings, hexadecimal: either changes the regions."""
        return hashlib.sha256(f"{fingerprint(self.model)} {self.settings}".encode()).hexdigest()

    def to(self, device: torch.device | str) -> Sam2Regions:
        """Move to a device; returns itself."""
        self.model.to(device)
        return self

    def segment(self, images: Sequence[NDArray[Any] | Image]) -> list[Labels]:
        """One label map (H, W) an image; 0 = no mask claims the pixel, 1 = the best mask by predicted IoU.

        Images are PIL images or (H, W, 3) arrays, uint8, or uint16 or float in [0, 1], which are rounded to 8
        bits. Without a mask all labels are 0: one region. Raises ImageError for an array of another kind.
        """
        return [self._labels(_pixels(image)) for image in images]

    def _labels(self, image: NDArray[np.uint8]) -> Labels:
        size = (image.shape[0], image.shape[1])
        logits, scores = self.ask(image)
        return flatten_masks(logits, scores, size, self.settings)[0]

    @torch.no_grad()
    def ask(self, image: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """All masks of the grid's points for (H, W, 3): logits (M, S / 4, S / 4) and predicted IoUs (M,)."""
        device = self.model.no_memory_embedding.device
        square = brighten(to_square(image, self.side), self.settings.dark, self.settings.brightened)
        features = self.model.get_image_embeddings(normalised(square)[None].to(device))
        size = (image.shape[0], image.shape[1])
        grid = point_grid(size, self.settings.points_per_side)
        points = points_in_square(grid, size, self.side).to(device)  # (P, 2)
        logits, scores = [], []
        for start in range(0, len(points), self.settings.points_per_batch):
            batch = points[start : start + self.settings.points_per_batch]
            found = self.model(
                image_embeddings=features,
                input_points=batch[None, :, None],
                input_labels=torch.ones(1, len(batch), 1, dtype=torch.int, device=device),
                multimask_output=True,
            )
            logits.append(found.pred_masks[0].flatten(0, 1))
            scores.append(found.iou_scores[0].flatten())
        return torch.cat(logits), torch.cat(scores)


def _pixels(image: NDArray[Any] | Image) -> NDArray[np.uint8]:
    return as_bytes(image if isinstance(image, np.ndarray) else np.asarray(image.convert("RGB")))

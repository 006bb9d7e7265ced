"""Percepts as the tensors that guide a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from clearair.network.guidance import Guidance
from clearair.perception.percepts import Percepts


def stacked_guidance(images: Sequence[Percepts]) -> Guidance:
    """Percepts of images of one size, by perceivers of one kind, as a batch."""
    batch = [to_guidance(percepts) for percepts in images]
    return Guidance(**{name: torch.cat([vars(one)[name] for one in batch]) for name in vars(batch[0])})


def to_guidance(percepts: Percepts, window: tuple[int, int, int, int] | None = None) -> Guidance:
    """Percepts of one image as a batch of one; `window` (top, left, height, width) crops the label map."""
    top, left, height, width = window or (0, 0, *percepts.labels.shape)
    labels = np.ascontiguousarray(percepts.labels[top : top + height, left : left + width])
    embeddings = (percepts.quality, percepts.content, percepts.degradation, percepts.local_degradation)
    quality, content, degradation, local = (torch.from_numpy(value)[None] for value in embeddings)
    tone, change, coarse = torch.from_numpy(percepts.shares)[:, None]  # (1,) each
    return Guidance(
        quality, torch.from_numpy(labels)[None], content, degradation, local, tone, change, coarse
    )

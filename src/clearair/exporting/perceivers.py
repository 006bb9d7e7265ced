"""The graphs of the compact perceiver: `backbone`, statistics of one view, and `look`, everything else."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from clearair.errors import ModelError
from clearair.exporting.tracing import Traced, trace
from clearair.perception.compact.backbone import FEATURES
from clearair.perception.compact.eyes import CompactEyes
from clearair.perception.compact.judging import judged
from clearair.perception.compact.perceiver import CompactPerceiver
from clearair.perception.compact.recognition import Recognizer

OUTPUTS = (
    "score",
    "levels",
    "quality",
    "content",
    "labels",
    "degradation",
    "local_degradation",
    "probabilities",
    "local_probabilities",
)


class _Backbone(nn.Module):
    """(1, 3, 32h, 32w) in [0, 1] -> (1, F)."""

    def __init__(self, recognizer: Recognizer) -> None:
        super().__init__()
        self.recognizer = recognizer

    def forward(self, image: Tensor) -> Tensor:
        statistics: Tensor = self.recognizer.backbone(image)
        return statistics


class _Look(nn.Module):
    """The views of one image -> `OUTPUTS`."""

    def __init__(self, eyes: CompactEyes, recognizer: Recognizer) -> None:
        super().__init__()
        self.eyes = eyes
        self.recognizer = recognizer

    def forward(
        self, far: Tensor, near: Tensor, sample: Tensor, features: Tensor, evident: Tensor
    ) -> tuple[Tensor, ...]:
        """(1, 3, 16h, 16w), (R, C, 3, S, S), (1, 3, ., .), (1, 2 F), (K,)."""
        rows, columns = near.shape[:2]
        sight = self.eyes.see(far, near.flatten(0, 1)[None], (rows, columns), sample)
        found = judged(self.eyes, self.recognizer, sight, features, evident)
        return (
            sight.score,
            sight.levels.softmax(dim=1),
            sight.quality,
            sight.content,
            found.labels,
            found.degradation,
            found.local_degradation,
            found.probabilities,
            found.local_probabilities,
        )


def perceiver_graphs(perceiver: CompactPerceiver) -> Iterator[tuple[str, Traced]]:
    """All graphs of a perceiver that has a recognizer, by name. Raises ModelError for one without."""
    eyes, recognizer = perceiver.eyes, perceiver.recognizer
    if recognizer is None:
        raise ModelError("Perceivers without a recognizer run on PyTorch alone.")
    config = eyes.config
    generator = torch.Generator().manual_seed(0)

    def example(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    views = {
        "far": example(1, 3, 144, 192),
        "near": example(3, 4, 3, config.near_side, config.near_side),
        "sample": example(1, 3, 75, 100),
        "features": example(1, 2 * FEATURES),
        "evident": example(len(config.kinds)),
    }
    axes = {
        "far": {2: "far height", 3: "far width"},
        "near": {0: "rows", 1: "columns"},
        "sample": {2: "sample height", 3: "sample width"},
    }
    image, sides = {"image": example(1, 3, 160, 192)}, {"image": {2: "height", 3: "width"}}
    yield "backbone", trace(_Backbone(recognizer), image, ["statistics"], sides)
    yield "look", trace(_Look(eyes, recognizer), views, OUTPUTS, axes)

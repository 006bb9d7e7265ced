"""The same views for a network again and again along its training: perceived once, restored each time.

Shapes: K kinds of damage, V = side of a view, S = side of a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearair.data.validation import ValidationSet
from clearair.evaluation.validation import Guide, Network, Score, batches, look, psnr_each, restore
from clearair.network import Guidance

SAMPLE = 128
"""S: side of the windows that people look at."""


@dataclass(frozen=True, eq=False)
class Examined:
    """What a network reached."""

    scores: dict[str, Score]
    """By kind of damage."""
    samples: Tensor
    """(K, 3, S, S) uint8: of each kind the middle of one view, restored."""


class Examination:
    """Held-out views, and what the perceivers say of them."""

    def __init__(self, perceiver: Guide, sets: Sequence[ValidationSet], batch: int = 4) -> None:
        self.perceiver = perceiver
        self.sets = sets
        self.batch = batch
        self._guidance: dict[str, list[Guidance]] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """In the order of samples."""
        return tuple(views.kind for views in self.sets)

    @property
    def damaged(self) -> Tensor:
        """(K, 3, S, S) uint8: what the samples are restored from."""
        return torch.stack([_sample(views.damaged) for views in self.sets])

    @property
    def clean(self) -> Tensor:
        """(K, 3, S, S) uint8: what the samples should be."""
        return torch.stack([_sample(views.clean) for views in self.sets])

    def examine(self, network: Network) -> Examined:
        """Restore every view; the score of a kind is the mean over its views."""
        scores, samples = {}, []
        for views in self.sets:
            if views.kind not in self._guidance:
                self._guidance[views.kind] = [
                    look(self.perceiver, damaged) for damaged, _ in batches(network, views, self.batch)
                ]
            pairs = zip(batches(network, views, self.batch), self._guidance[views.kind], strict=True)
            restored = torch.cat([restore(network, damaged, told).cpu() for (damaged, _), told in pairs])
            scores[views.kind] = Score(
                float(psnr_each(views.damaged, views.clean).mean()),
                float(psnr_each(restored, views.clean).mean()),
            )
            samples.append(_sample(restored))
        return Examined(scores, torch.stack(samples))


def _sample(views: Tensor) -> Tensor:
    """(B, 3, V, V) in [0, 1] -> (3, S, S) uint8: the middle of the view of middling strength."""
    view = views[len(views) // 2]
    top, left = ((side - SAMPLE) // 2 for side in view.shape[1:])
    window = view[:, max(0, top) : max(0, top) + SAMPLE, max(0, left) : max(0, left) + SAMPLE]
    return (window * 255).round().to(torch.uint8)

"""Held-out views that networks are compared on: perceived once, then restored by each network.

Shapes: K kinds of damage, V = side of a view, S = side of a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.data.pixels import to_bytes
from clearair.data.validation import ValidationSet
from clearair.evaluation.shuffle import Contribution, shuffle
from clearair.evaluation.validation import Guide, Network, Score, batches, look, psnr_of_views, restore
from clearair.network import Guidance

SAMPLE = 128
"""S: side of the windows that people look at."""


@dataclass(frozen=True, eq=False)
class Validated:
    """The result of a network."""

    scores: dict[str, Score]
    """By kind of damage."""
    samples: Tensor
    """(K, 3, S, S) uint8: of each kind the middle of one view, restored."""


class HeldOutViews:
    """Held-out views by kind of damage, with the guidance of a perceiver."""

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

    def validate(self, network: Network) -> Validated:
        """Restore every view on the device of the network; a score is the mean over the views of a kind."""
        scores, samples = {}, []
        for views in self.sets:
            if views.kind not in self._guidance:
                self._guidance[views.kind] = [
                    look(self.perceiver, damaged) for damaged, _ in batches(network, views, self.batch)
                ]
            pairs = zip(batches(network, views, self.batch), self._guidance[views.kind], strict=True)
            restored = torch.cat([restore(network, damaged, said).cpu() for (damaged, _), said in pairs])
            scores[views.kind] = Score(
                float(psnr_of_views(views.damaged, views.clean).mean()),
                float(psnr_of_views(restored, views.clean).mean()),
            )
            samples.append(_sample(restored))
        return Validated(scores, torch.stack(samples))

    def contributions(
        self,
        network: Network,
        percepts: Sequence[str] = ("how", "where", "what"),
        *,
        on_set: Callable[[str, str], None] | None = None,
    ) -> list[Contribution]:
        """Measure how much each kind of guidance contributes to what a network reaches, as `shuffle` does."""
        return shuffle(network, self.perceiver, self.sets, percepts, batch=self.batch, on_set=on_set)


def _sample(views: Tensor) -> Tensor:
    """(B, 3, V, V) in [0, 1] -> (3, S, S) uint8: the middle of the view of middling strength.

    A view that is smaller than S lies on black.
    """
    view = views[len(views) // 2]
    top, left = ((side - SAMPLE) // 2 for side in view.shape[1:])
    window = view[:, max(0, top) : max(0, top) + SAMPLE, max(0, left) : max(0, left) + SAMPLE]
    missing = [SAMPLE - length for length in window.shape[1:]]
    return to_bytes(F.pad(window, (0, missing[1], 0, missing[0])))

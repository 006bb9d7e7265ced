"""The shipped network: the paper's, with a tone stage before it and caution after it.

The configuration turns each part on: `tone`, `cautious`, and `resampling` "bilinear" for the lattice.
With all of them off this is the paper's network.

Shapes: B images, H x W pixels of a picture, h x w of a window of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clearair.finishing.coarse import coarse_part, tonal_part
from clearair.finishing.lattice import without_lattice
from clearair.finishing.tone import Origin, Tone, ToneStage
from clearair.network.config import NetworkConfig
from clearair.network.layers import at_least_float32
from clearair.network.model import ClearAIR, Judgement
from clearair.network.overview import Overview, survey
from clearair.network.regions import RegionTokens
from clearair.percepts import Guidance


@dataclass(frozen=True)
class FinishedJudgement(Judgement):
    """The network's judgement of a whole picture, and the values that control the finishing."""

    tone: Tone | None
    """How exposure and colour change; None for a network without a tone stage."""
    change: Tensor | None
    """(B,) in [0, 1] how much of all change is made; None for a network that is not cautious."""
    coarse: Tensor | None
    """(B,) in [0, 1] how much of it may be coarse, besides the tone; None as with `change`."""

    def repeated(self, count: int) -> FinishedJudgement:
        """The judgement of one picture for `count` windows of it. Nothing is copied."""

        def each(value: Tensor) -> Tensor:
            return value.expand(count, *value.shape[1:])

        tone = self.tone
        return FinishedJudgement(
            each(self.quality),
            RegionTokens(each(self.tokens.features), each(self.tokens.areas)),
            each(self.content),
            each(self.prompts),
            tone=None if tone is None else Tone(each(tone.grid), each(tone.share), tone.size),
            change=None if self.change is None else each(self.change),
            coarse=None if self.coarse is None else each(self.coarse),
        )


class FinishedNetwork(ClearAIR):
    """Corrects tone and haze for the whole picture, adds detail with the paper's network, limits the change.

    `judge` computes once what needs the whole picture; `restore` then restores any window of it.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        if config.tone:
            self.tone = ToneStage(config.prompt_dim, config.degradation_dim)
            self.toned_extraction = self._conv(3 * config.stem**2, config.channels[0])

    def forward(self, image: Tensor, guidance: Guidance) -> Tensor:
        """Restore whole pictures: (B, 3, H, W) in [0, 1] -> (B, 3, H, W), not clamped; any H, W >= 1.

        Raises ConfigError when the guidance is not of this image or not of the sizes the network knows.
        """
        self._check(image, guidance)
        judgement = self.judge(guidance, survey(image, guidance.labels, self.config))
        return self.restore(image, guidance.labels, judgement)

    def judge(self, guidance: Guidance, overview: Overview) -> FinishedJudgement:
        """The judgement of a picture for all its windows, from its percepts and its overview."""
        config, judgement = self.config, super().judge(guidance, overview)
        tone = None
        if config.tone:
            degradation = guidance.degradation
            if config.degradation == "learned":
                degradation = self.learned_degradation.expand(len(degradation), -1, -1)[:, 0]
            quality = judgement.quality
            with torch.autocast(quality.device.type, enabled=False):  # colours need more than bf16's 8 bits
                tone = self.tone.decide(
                    overview.thumbnail, at_least_float32(quality), degradation, guidance.tone, overview.size
                )
        change, coarse = (guidance.change, guidance.coarse) if config.cautious else (None, None)
        return FinishedJudgement(**vars(judgement), tone=tone, change=change, coarse=coarse)

    def restore(
        self,
        window: Tensor,
        labels: Tensor,
        judgement: FinishedJudgement,
        origin: Origin = (0, 0),
        *,
        keep_tone: bool = False,
    ) -> Tensor:
        """Restore windows (B, 3, h, w) of judged pictures, whose corners lie at `origin` (down, right).

        `labels` (B, h, w) are the window's own. With `keep_tone` the input's exposure and colour stay: the
        change of the detail network is added to the input, scaled down by the gain of the tone.
        """
        toned = window
        if judgement.tone is not None:
            with torch.autocast(window.device.type, enabled=False):
                toned = self.tone(at_least_float32(window), judgement.tone, origin)
        added = self._added(window, toned, labels, judgement).to(toned.dtype)
        with torch.autocast(window.device.type, enabled=False):
            if judgement.coarse is not None:
                added = held_back(added, toned, judgement, keep_tone)
            if keep_tone and judgement.tone is not None:
                gain = self.tone.gain(at_least_float32(window), judgement.tone, origin)
                restored = window + added / gain.clamp_min(1)
            else:
                restored = toned + added
        if judgement.change is not None:
            restored = window + judgement.change[:, None, None, None] * (restored - window)
        return restored

    def _added(self, window: Tensor, toned: Tensor, labels: Tensor, judgement: FinishedJudgement) -> Tensor:
        """What the paper's network adds, (B, 3, h, w); it sees the window before and after the tone stage."""
        shallow, cells = self.extraction(self.to_cells(window)), self.to_cells(toned)
        if judgement.tone is not None:
            shallow = shallow + self.toned_extraction(cells)
        added = self.residual(shallow, labels, judgement)
        if self.config.stem > 1 and self.config.resampling == "bilinear":
            added = without_lattice(added, cells, self.config.stem)
        return self.to_image(added, (window.shape[2], window.shape[3]))


def held_back(added: Tensor, toned: Tensor, judgement: FinishedJudgement, keep_tone: bool) -> Tensor:
    """The change of a window without the suppressed share of its coarse part: (B, 3, h, w).

    Where the tone is corrected, the part that follows the light is kept, since it has the picture's own
    edges.
    """
    assert judgement.coarse is not None
    free, held = judgement.coarse, added
    if judgement.tone is not None:
        share = judgement.tone.share
        if keep_tone:
            free = free * (1 - share)
        else:
            held = added - share[:, None, None, None] * tonal_part(added, toned)
    return added - (1 - free)[:, None, None, None] * coarse_part(held)

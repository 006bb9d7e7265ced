"""The graphs of a restorer: `judge`, once a picture, and `window` and `keep_tone`, once a tile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from clearair.exporting import fused, fused_base
from clearair.exporting.tracing import Axes, Traced, trace
from clearair.finishing import FinishedJudgement, FinishedNetwork
from clearair.finishing.tone import CELLS, Tone
from clearair.network import NetworkConfig
from clearair.network.config import THUMBNAIL
from clearair.network.overview import Overview
from clearair.network.regions import RegionTokens
from clearair.percepts import Guidance

WINDOW = (157, 203)
"""Sides in pixels of the window that is traced; they are no multiples, so that the padding is traced too."""
PREFIX = "network."
"""Of the weights of the modules here, which each wrap a network."""


class _Judge(nn.Module):
    """Guidance and overview of one picture -> its judgement, for all its windows."""

    def __init__(self, network: FinishedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        quality: Tensor,
        content: Tensor,
        degradation: Tensor,
        local_degradation: Tensor,
        neighbourhoods: Tensor,
        areas: Tensor,
        thumbnail: Tensor,
    ) -> tuple[Tensor, ...]:
        free = torch.ones_like(areas[:, 0])
        nowhere = torch.zeros_like(areas, dtype=torch.uint8)[:, None]
        guidance = Guidance(quality, nowhere, content, degradation, local_degradation, free, free, free)
        judged = self.network.judge(guidance, Overview(neighbourhoods, areas, thumbnail, (1, 1)))
        values = (judged.quality, judged.tokens.features, judged.tokens.areas, judged.content, judged.prompts)
        return values if judged.tone is None else (*values, judged.tone.grid)


class _Window(nn.Module):
    """A window and the judgement -> the window restored, by the network itself."""

    def __init__(self, network: FinishedNetwork, *, keep_tone: bool = False) -> None:
        super().__init__()
        self.network = network
        self.keep_tone = keep_tone

    def forward(self, window: Tensor, labels: Tensor, *judged: Tensor) -> Tensor:
        config, rest = self.network.config, list(judged)
        quality, features, areas, content, prompts = (rest.pop(0) for _ in range(5))
        tone = change = coarse = None
        origin: Any = (0, 0)
        if config.tone:
            grid, share = rest.pop(0), rest.pop(0)
        if config.cautious:
            change, coarse = rest.pop(0), rest.pop(0)
        if config.tone:
            origin, (height, width) = rest[0].unbind(), rest[1].unbind()
            tone = Tone(grid, share, (height, width))  # type: ignore[arg-type]
        judgement = FinishedJudgement(
            quality, RegionTokens(features, areas), content, prompts, tone=tone, change=change, coarse=coarse
        )
        return self.network.restore(window, labels, judgement, origin, keep_tone=self.keep_tone)


def restorer_graphs(network: FinishedNetwork) -> Iterator[tuple[str, Traced]]:
    """All graphs that a restorer consists of, by name; takes minutes."""
    yield "judge", judge_graph(network)
    yield "window", window_graph(network)
    if network.config.tone:
        yield "keep_tone", window_graph(network, keep_tone=True)


def judge_graph(network: FinishedNetwork) -> Traced:
    """The judgement of a picture: percepts and overview -> quality, features, areas, content, prompts,
    grid."""
    config, generator = network.config, torch.Generator().manual_seed(0)
    shapes = {
        "quality": (1, config.quality_dim),
        "content": (1, config.content_dim),
        "degradation": (1, config.degradation_dim),
        "local_degradation": (1, config.region_count, config.degradation_dim),
        "neighbourhoods": (1, config.region_count, 3 * config.stem**2, 3, 3),
        "areas": (1, config.region_count),
        "thumbnail": (1, 3, THUMBNAIL, THUMBNAIL),
    }
    inputs = {name: torch.rand(*shape, generator=generator) for name, shape in shapes.items()}
    outputs = ["features_of_quality", "tokens", "sizes", "content_tokens", "prompts"]
    if config.tone:
        outputs.append("grid")
    return trace(_Judge(network), inputs, outputs, {}, prefix=PREFIX)


def window_graph(network: FinishedNetwork, *, keep_tone: bool = False) -> Traced:
    """One window of a judged picture, of any height and width."""
    axes: dict[str, Axes] = {"window": {2: "height", 3: "width"}, "labels": {1: "height", 2: "width"}}
    form = form_of(network.config)
    # The paper's family corrects no tone, so it has none to keep.
    module = form(network) if issubclass(form, fused_base.FusedBase) else form(network, keep_tone=keep_tone)
    return trace(module, window_inputs(network, WINDOW), ["restored"], axes, prefix=PREFIX)


def form_of(config: NetworkConfig) -> type[_Window | fused.FusedNetwork | fused_base.FusedBase]:
    """The form in which such a network restores a window fastest in ONNX Runtime."""
    if fused.is_supported(config):
        return fused.FusedNetwork
    return fused_base.FusedBase if fused_base.is_supported(config) else _Window


def window_inputs(network: FinishedNetwork, size: tuple[int, int]) -> dict[str, Tensor]:
    """Random examples of what the graph of a window takes, which is the whole picture."""
    config, generator = network.config, torch.Generator().manual_seed(0)

    def example(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    regions = config.region_count
    prompts = regions if config.local_degradation and config.regions == "perceived" else 1
    inputs = {
        "window": example(1, 3, *size),
        "labels": torch.randint(0, regions, (1, *size), generator=generator, dtype=torch.uint8),
        "features_of_quality": example(1, config.prompt_dim),
        "tokens": example(1, regions, config.channels[0]),
        "sizes": 100 * example(1, regions),
        "content_tokens": example(1, config.content_tokens, config.prompt_dim),
        "prompts": example(1, prompts, config.prompt_dim),
    }
    if config.tone:
        inputs |= {"grid": example(1, 12, CELLS, CELLS, CELLS), "share": example(1)}
    if config.cautious:
        inputs |= {"change": example(1), "coarse": example(1)}
    if config.tone:
        inputs |= {"origin": torch.zeros(2), "size": torch.tensor(size, dtype=torch.float32)}
    return inputs

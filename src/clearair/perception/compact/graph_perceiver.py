"""The compact perceiver on ONNX Runtime: one image at a time, without PyTorch.

Shapes: H x W pixels, N regions, K kinds, D_d entries of the degradation embedding, F statistics of a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.errors import ModelError, UsageError
from clearair.graphs import GraphFolder, Opens, Runs, read_graphs, same_config
from clearair.perception.compact.arrays import (
    check_image,
    enlarged,
    evident_in,
    far_view_of,
    near_crops_of,
    sample_of,
)
from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.geometry import (
    BACKBONE_STRIDE,
    RECOGNIZER_PIXELS,
    near_grid,
    recognizer_crops,
)
from clearair.perception.compact.steering import moved
from clearair.perception.compact.stored import WEIGHTS, read_perceiver, shipped_folder
from clearair.perception.confidence import Caution
from clearair.perception.protocol import Identity, fingerprint_of
from clearair.percepts import Floats, Guidance, Percepts
from clearair.weights import in_float32

_STORED = "recognizer."


class GraphPerceiver:
    """Quality, regions and damage in one pass. Frozen; the same image gives the same answer."""

    def __init__(
        self, config: EyesConfig, caution: Caution, weights: dict[str, NDArray[Any]], graphs: Opens
    ) -> None:
        """`weights` are float32, by name. Raises ModelError when the graphs do not take them."""
        self.config = config
        self.caution = caution
        self._prototypes = weights[f"{_STORED}prototypes"]  # (K, D_d)
        self._trust = weights[f"{_STORED}trust"]  # (K,)
        self._backbone: Runs = graphs.open("backbone", weights)
        self._look: Runs = graphs.open("look", weights)
        self._fingerprint = fingerprint_of(weights)

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds of damage that it has probabilities for."""
        return self.config.kinds

    @property
    def identity(self) -> Identity:
        """Its name, its weights and its output sizes: those of the same perceiver on PyTorch."""
        return self.config.identity(self._fingerprint)

    def to(self, device: Any) -> GraphPerceiver:
        """Returns itself; raises UsageError for another device than the CPU."""
        if str(device) != "cpu":
            raise UsageError(f"These perceivers run on the CPU, not on {device}.")
        return self

    def perceive_image(self, image: NDArray[Any]) -> Percepts:
        """One RGB image (H, W, 3), uint8, uint16 or float in [0, 1], of any size.

        Raises ImageError when it is not such an array.
        """
        check_image(image)
        config = self.config
        size = (image.shape[0], image.shape[1])
        grid = near_grid(*size, config.near_crops, config.near_spacing)
        near = near_crops_of(image, config.near_side, grid)[0]
        seen = self._look.run(
            {
                "far": far_view_of(image, config.far_pixels),
                "near": near.reshape(*grid, *near.shape[1:]),
                "sample": sample_of(image),
                "features": self._features(image),
                "evident": evident_in(image, config.kinds),
            }
        )
        shares = self.caution.shares(seen["probabilities"], config.kinds)
        guidance = Guidance(
            quality=seen["quality"],
            labels=enlarged(seen["labels"][0], size)[None],
            content=seen["content"],
            degradation=seen["degradation"],
            local_degradation=seen["local_degradation"],
            tone=shares.tone,
            change=shares.change,
            coarse=shares.coarse,
        )
        return Percepts(
            score=float(seen["score"][0]),
            levels=seen["levels"][0],
            guidance=guidance,
            names=config.kinds,
            probabilities=seen["probabilities"][0],
            local_probabilities=seen["local_probabilities"][0],
        )

    def told(self, percepts: Percepts, kinds: Sequence[str]) -> Percepts:
        """The percepts of a picture whose user named exactly these kinds of damage.

        Its embeddings move to those of the kinds as far as the recognizer's trust allows.
        """
        there = np.array([[name in kinds for name in self.config.kinds]], np.float32)  # (1, K)
        shares = self.caution.shares(there, self.config.kinds)
        guidance = percepts.guidance
        whole, local = (
            moved(own, self._prototypes, self._trust * there)
            for own in (guidance.degradation, guidance.local_degradation)
        )
        return replace(
            percepts,
            guidance=replace(
                guidance,
                degradation=whole,
                local_degradation=local,
                tone=shares.tone,
                change=shares.change,
                coarse=shares.coarse,
            ),
            probabilities=there[0],
            local_probabilities=np.repeat(there, guidance.regions, axis=0),
        )

    def _features(self, image: NDArray[Any]) -> Floats:
        """(1, 2 F): statistics of the whole, and means of those of native crops."""
        side, grid = recognizer_crops(*image.shape[:2])
        far = far_view_of(image, RECOGNIZER_PIXELS, BACKBONE_STRIDE)
        crops = near_crops_of(image, side, grid)[0]
        whole = self._statistics(far)
        if len(crops) == 1 and crops.shape[2:] == far.shape[2:]:
            return np.concatenate([whole, whole], axis=1)  # a picture that is no larger than a crop
        each = [self._statistics(crop[None]) for crop in crops]
        return np.concatenate([whole, np.mean(each, axis=0, dtype=np.float32)], axis=1)

    def _statistics(self, view: Floats) -> Floats:
        statistics: Floats = self._backbone.run({"image": view})["statistics"]
        return statistics


def load_graph_perceiver(folder: Path | None = None) -> GraphPerceiver | None:
    """The perceiver that ships, or one saved in `folder`; None where there are no graphs for it.

    Raises ModelError when its files are missing or damaged.
    """
    place = shipped_folder() if folder is None else folder
    stored = read_perceiver(place)
    if not stored.has_recognizer:
        return None
    graphs = graphs_for(stored.config, folder)
    if graphs is None:
        return None
    weights = in_float32(stored.weights, place / WEIGHTS)
    return GraphPerceiver(stored.config, stored.caution, weights, graphs)


def graphs_for(config: EyesConfig, folder: Path | None = None) -> GraphFolder | None:
    """The graphs beside a perceiver, or else those that ship where they compute the same eyes.

    Raises ModelError for graphs in `folder` that are of other eyes.
    """
    wanted = config.to_dict()
    own = None if folder is None else read_graphs(folder)
    if own is not None and not same_config(own.config, wanted):
        raise ModelError(f"{own.path}: holds graphs of other perceivers; run `clearair export` again.")
    shipped = read_graphs(shipped_folder())
    return own or (shipped if shipped is not None and same_config(shipped.config, wanted) else None)

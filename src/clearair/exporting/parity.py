"""Compares an exported model with PyTorch on the same pictures, percepts and windows.

Shapes: H x W pixels of a picture, h x w of a window of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearair.image import to_depth
from clearair.models.stored import StoredModel
from clearair.network.config import GUIDANCE_SIZES, NetworkConfig
from clearair.perception.protocol import Perceiver
from clearair.perception.telling import tell
from clearair.percepts import Guidance, Percepts
from clearair.runtime.loading import load_perceiver
from clearair.runtime.protocol import Runtime
from clearair.tiling import Window

LIMIT = 1e-3
"""Largest difference that is allowed, in pixels of [0, 1]: a quarter of one step of 8 bits."""
LABELS_LIMIT = 0.01
"""Share of pixels that may get another region. Two regions can be equally near, and rounding then decides."""
SIZE = (209, 274)
"""H and W of the pictures; they are no multiples of what networks halve."""
_CORNER, _INSIDE = Window(0, 0, 64, 64), Window(32, 56, 161, 203)
_WHOLE = Window(0, 0, *SIZE)

Answers = Mapping[str, NDArray[Any]]
"""Outputs of a model by the name of the case."""


@dataclass(frozen=True)
class Case:
    """A window to restore, with its picture and percepts."""

    name: str
    pixels: NDArray[np.uint8]
    """(H, W, 3)."""
    percepts: Percepts
    window: Window
    keep_tone: bool = False


@dataclass(frozen=True)
class Difference:
    """The difference between two outputs."""

    name: str
    largest: float
    mean: float
    squared: float
    """The mean of squares."""
    limit: float = LIMIT

    @property
    def holds(self) -> bool:
        """Whether it is small enough; NaN is not."""
        return self.largest <= self.limit

    @property
    def psnr(self) -> float:
        """In dB between the two, for a peak of 1; infinite where they are equal."""
        return -10 * math.log10(self.squared) if self.squared > 0 else math.inf

    def __str__(self) -> str:
        verdict = "" if self.holds else f", more than {self.limit:g}"
        return f"{self.name}: max {self.largest:.1e}, mean {self.mean:.1e}, PSNR {self.psnr:.1f} dB{verdict}"


def restorer_cases(stored: StoredModel) -> list[Case]:
    """Windows of several sizes and places, with percepts of the perceivers that ship.

    A network that was trained with perceivers of other sizes gets random percepts instead.
    """
    network, pixels = stored.network, scene()
    perceiver = load_perceiver()
    if not _fits(network, perceiver):
        drawn = _drawn_percepts(network)
        return [
            Case("random percepts", pixels, drawn, window, keep)
            for window, keep in ((_CORNER, False), (_INSIDE, False), (_WHOLE, False), (_INSIDE, network.tone))
        ]
    seen = perceiver.perceive_image(pixels)
    noise, dark = (tell(perceiver, seen, kinds) for kinds in (["noise"], ["haze", "lowlight"]))
    cases = [Case("as perceived", pixels, seen, window) for window in (_CORNER, _INSIDE)]
    cases += [Case("noise named", pixels, noise, window) for window in (_INSIDE, _WHOLE)]
    cases += [Case("haze and low light named", pixels, dark, _INSIDE)]
    if network.tone:
        cases.append(Case("the same, tone kept", pixels, dark, _INSIDE, keep_tone=True))
    return cases


def restored(runtime: Runtime, cases: Iterable[Case]) -> Answers:
    """The output of a runtime for each case, (h, w, 3)."""
    return {
        f"{case.window.width} x {case.window.height} px, {case.name}": _restored(runtime, case)
        for case in cases
    }


def _restored(runtime: Runtime, case: Case) -> NDArray[np.float32]:
    judgement = runtime.judge(case.pixels, case.percepts)
    window = to_depth(case.pixels[case.window.slices], np.dtype(np.float32))
    return runtime.restore(window, case.percepts, judgement, case.window, keep_tone=case.keep_tone)


def perceived(perceiver: Perceiver) -> Answers:
    """All percepts of pictures of several sizes, by name: flat, one picture after the other."""
    found: dict[str, list[NDArray[Any]]] = {}
    for size in (SIZE, (64, 80), (600, 700)):
        percepts = perceiver.perceive_image(scene(size))
        values = {field.name: getattr(percepts.guidance, field.name) for field in fields(Guidance)}
        values |= {
            "score": percepts.score,
            "levels": percepts.levels,
            "probabilities": percepts.probabilities,
            "local_probabilities": percepts.local_probabilities,
        }
        for name, value in values.items():
            found.setdefault(name, []).append(np.ravel(value))
    return {name: np.concatenate(each) for name, each in found.items()}


def differences(first: Answers, second: Answers) -> list[Difference]:
    """Differences between outputs of the same names; for labels, the share of differing pixels."""
    found = []
    for name, value in first.items():
        if name == "labels":
            others = float(np.mean(value != second[name]))
            found.append(Difference(name, others, others, others, LABELS_LIMIT))
        else:
            found.append(difference(name, value, second[name]))
    return found


def difference(name: str, first: NDArray[Any], second: NDArray[Any]) -> Difference:
    """The difference between two arrays of one shape; infinite if one of them has NaN."""
    apart = np.abs(first.astype(np.float64) - second.astype(np.float64))
    apart = np.where(np.isfinite(apart), apart, np.inf)
    return Difference(name, float(apart.max()), float(apart.mean()), float((apart**2).mean()))


def scene(size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """A drawn picture (H, W, 3): a hazy sky, hills, a building with windows, noise. Always the same one."""
    height, width = size
    generator = np.random.default_rng(0)
    down, across = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    sky = np.stack([0.55 + 0.2 * down, 0.65 + 0.15 * down, 0.85 - 0.1 * down], axis=2)
    picture = sky
    for ridge, colour in ((0.45, (0.45, 0.5, 0.5)), (0.6, (0.3, 0.38, 0.25)), (0.8, (0.2, 0.22, 0.12))):
        top = ridge + 0.07 * np.sin(9 * across / ridge) + 0.02 * np.sin(61 * across * ridge)
        grain = 1 + 0.15 * generator.standard_normal((height, width, 1))
        picture = np.where((down > top)[..., None], np.array(colour) * grain, picture)
    inside = (across > 0.55) & (across < 0.85) & (down > 0.3) & (down < 0.75)
    panes = (np.sin(60 * across) > 0.2) & (np.sin(45 * down) > 0)
    wall = np.where(panes[..., None], (0.1, 0.12, 0.2), (0.7, 0.55, 0.45))
    picture = np.where(inside[..., None], wall, picture)
    noisy = picture + generator.normal(0, 0.06, picture.shape)
    pixels: NDArray[np.uint8] = (noisy.clip(0, 1) * 255).round().astype(np.uint8)
    return pixels


def _fits(network: NetworkConfig, perceiver: Perceiver) -> bool:
    return all(getattr(network, name) == getattr(perceiver.identity, name) for name in GUIDANCE_SIZES)


def _drawn_percepts(network: NetworkConfig) -> Percepts:
    generator, nothing = np.random.default_rng(1), np.zeros((0,), np.float32)

    def drawn(*shape: int) -> NDArray[np.float32]:
        return generator.normal(0, 1, shape).astype(np.float32)

    half = np.full((1,), 0.5, np.float32)
    labels = generator.integers(0, network.region_count, (1, 8, 8), dtype=np.uint8)
    rows, columns = (np.arange(side) * 8 // side for side in SIZE)
    guidance = Guidance(
        quality=drawn(1, network.quality_dim),
        labels=np.ascontiguousarray(labels[:, rows][:, :, columns]),
        content=drawn(1, network.content_dim),
        degradation=drawn(1, network.degradation_dim),
        local_degradation=drawn(1, network.region_count, network.degradation_dim),
        tone=half,
        change=2 * half,
        coarse=half,
    )
    return Percepts(
        score=3.0,
        levels=np.full((5,), 0.2, np.float32),
        guidance=guidance,
        names=(),
        probabilities=nothing,
        local_probabilities=np.zeros((network.region_count, 0), np.float32),
    )

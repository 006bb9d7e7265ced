"""Detects shots, and makes one judgement for each.

Percepts differ a little from frame to frame, which would cause flicker. So all frames of a shot get the mean
percepts of some of them, with one region, since regions move.

Shapes: H x W pixels, N regions, K kinds of damage.
"""

from __future__ import annotations

import io
from collections import deque
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from clearair.perception.confidence import Caution
from clearair.percepts import Floats, Guidance, Percepts, label_areas
from clearair.placing import write_atomically
from clearair.video.colours import thumbnail

_SIDE = 32
"""Side of thumbnails in pixels, small enough to remove noise and grain."""
_CUT = 0.6
"""Mean difference of two thumbnails that is a cut, in standard deviations of their pixels; of two that have
nothing to do with each other it is 1.1."""
_RISE = 3.0
"""Factor by which a cut must exceed the mean of the previous frames: fast motion is not a cut."""
_FLAT = 0.02
"""Standard deviation of frames that show nothing, in [0, 1]."""
_MEMORY = 8
"""Frames whose motion is remembered."""


class CutFinder:
    """Detects, frame by frame, where a new shot begins."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._recent: deque[float] = deque(maxlen=_MEMORY)
        self.is_flat = False
        """Whether the last frame shows nothing, as in a fade to black."""

    def begins(self, frame: VideoFrame) -> bool:
        """Whether this frame, the next one of the video, is the first of a shot."""
        small = thumbnail(frame, _SIDE)
        last, self._last = self._last, small
        self.is_flat = bool(small.std() < _FLAT)
        if last is None:
            return True
        contrast = (float(small.std()) + float(last.std())) / 2
        moved = float(np.abs(small - last).mean()) / (contrast + _FLAT)
        usual = sum(self._recent) / len(self._recent) if self._recent else 0.0
        if moved > _CUT and moved > _RISE * usual:
            self._recent.clear()
            return True
        self._recent.append(moved)
        return False


class Gathering:
    """The mean of percepts; memory does not grow with their number."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._names: tuple[str, ...] = ()
        self._regions = 1

    def add(self, percepts: Percepts) -> None:
        """One more frame."""
        guidance = percepts.guidance
        values = {
            "score": np.array(percepts.score),
            "levels": percepts.levels,
            "probabilities": percepts.probabilities,
            "quality": guidance.quality,
            "content": guidance.content,
            "degradation": guidance.degradation,
            "places": _mean_of_places(percepts),
        }
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, np.zeros(())) + np.asarray(value, np.float64)
        self._names, self._regions = percepts.names, guidance.regions
        self.count += 1

    def save(self, path: Path, shot: int) -> None:
        """Write what there is so far of the shot of this number."""
        arrays: dict[str, Any] = {f"sum of {name}": value for name, value in self._sums.items()}
        about = {"shot": shot, "count": self.count, "regions": self._regions}
        _save(path, names=np.array(self._names, dtype=np.str_), **about, **arrays)

    @classmethod
    def load(cls, path: Path) -> tuple[int, Gathering]:
        """The number of the shot and what was saved. Raises what `load_percepts` raises."""
        gathering = cls()
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            gathering.count, gathering._regions = int(stored["count"]), int(stored["regions"])
            gathering._names = tuple(str(name) for name in stored["names"])
            start = "sum of "
            gathering._sums = {
                name.removeprefix(start): np.asarray(stored[name], np.float64)
                for name in stored.files
                if name.startswith(start)
            }
            return int(stored["shot"]), gathering

    def mean(self, caution: Caution) -> Percepts:
        """Percepts of all frames together, with a label map of one pixel; see `fitted`."""
        mean = {name: (value / self.count).astype(np.float32) for name, value in self._sums.items()}
        lengths = {
            name: mean[name] / np.linalg.norm(mean[name], axis=1, keepdims=True).clip(1e-6)
            for name in ("content", "degradation", "places")
        }
        shares = caution.shares(mean["probabilities"][None], self._names)
        guidance = Guidance(
            quality=mean["quality"],
            labels=np.ones((1, 1, 1), np.uint8) if self._regions > 1 else np.zeros((1, 1, 1), np.uint8),
            content=lengths["content"],
            degradation=lengths["degradation"],
            local_degradation=np.repeat(lengths["places"][:, None], self._regions, axis=1),
            tone=shares.tone,
            change=shares.change,
            coarse=shares.coarse,
        )
        local = np.repeat(mean["probabilities"][None], self._regions, axis=0)
        return Percepts(
            float(mean["score"]), mean["levels"], guidance, self._names, mean["probabilities"], local
        )


def _mean_of_places(percepts: Percepts) -> Floats:
    """(1, D_d) the damage of all regions, weighted by area: what a network expects of a region."""
    local = percepts.guidance.local_degradation[0]  # (N, D_d)
    areas = label_areas(percepts.labels, len(local)) / percepts.labels.size
    mean: Floats = (areas.astype(np.float32) @ local)[None]
    return mean


def fitted(percepts: Percepts, height: int, width: int) -> Percepts:
    """The percepts of a shot for its frames of this size: one region."""
    labels = np.broadcast_to(percepts.guidance.labels, (1, height, width)).copy()
    return replace(percepts, guidance=replace(percepts.guidance, labels=labels))


def save_percepts(percepts: Percepts, path: Path) -> None:
    """Write percepts to a file of their own."""
    guidance = percepts.guidance
    arrays: dict[str, Any] = {
        field.name: np.asarray(getattr(guidance, field.name)) for field in fields(guidance)
    }
    _save(
        path,
        score=np.array(percepts.score),
        levels=percepts.levels,
        names=np.array(percepts.names, dtype=np.str_),
        probabilities=percepts.probabilities,
        local_probabilities=percepts.local_probabilities,
        **arrays,
    )


def _save(path: Path, **arrays: Any) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue(), overwrite=True)


def load_percepts(path: Path) -> Percepts:
    """The percepts that were saved. Raises OSError, ValueError, KeyError, EOFError and BadZipFile."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        guidance = Guidance(**{field.name: stored[field.name] for field in fields(Guidance)})
        return Percepts(
            float(stored["score"]),
            _floats(stored["levels"]),
            guidance,
            tuple(str(name) for name in stored["names"]),
            _floats(stored["probabilities"]),
            _floats(stored["local_probabilities"]),
        )


def _floats(values: Any) -> Floats:
    return np.asarray(values, np.float32)

"""The clock of a run, and the means of what its steps report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def duration(seconds: float) -> str:
    """For people: "2 h 05 min", "7 min" or "40 s"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


class Clock:
    """Time spent since the last resume and before, and the share of it that went into loading."""

    def __init__(self, before: float) -> None:
        self.before = before
        self.began = time.monotonic()
        self.loaded = 0.0
        self.paused = 0.0
        self.entered = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the start or the last resume."""
        return time.monotonic() - self.began

    @property
    def seconds(self) -> float:
        """Seconds spent training, those before the last resume included."""
        return self.before + self.elapsed - self.paused

    @property
    def share(self) -> float:
        """Share of the elapsed time that went into loading."""
        return self.loaded / max(self.elapsed, 1e-9)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """For a `with` block that does not count as training time."""
        entered = time.monotonic()
        yield
        self.paused += time.monotonic() - entered

    def loading(self) -> Clock:
        """For a `with` block that counts as loading."""
        return self

    def __enter__(self) -> None:
        self.entered = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.loaded += time.monotonic() - self.entered


class Meters:
    """Values of the steps since the last report. They stay on their device until they are read."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}

    def add(self, terms: dict[str, Tensor]) -> None:
        """Note the scalars of one update."""
        for name, value in terms.items():
            self._values.setdefault(name, []).append(value.detach())

    def means(self) -> dict[str, float]:
        """Mean of each value; waits for the device."""
        return {name: float(torch.stack(values).double().mean()) for name, values in self._values.items()}

    def clear(self) -> None:
        """Start over."""
        self._values = {}

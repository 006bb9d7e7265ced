"""Where a run stands: its clock, and one line of log an interval."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LOG = "log.jsonl"
"""In a run folder."""


def log_line(path: Path, record: dict[str, float], report: Callable[[str], None]) -> None:
    """Append a record to a JSON Lines file, and report it for people to read."""
    append(path, record)
    report(
        "  ".join(
            f"{name} {duration(value) if name == 'left' else format(value, '.5g')}"
            for name, value in record.items()
        )
    )


def duration(seconds: float) -> str:
    """For people: "2 h 05 min", "7 min" or "40 s"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Append a record to a JSON Lines file."""
    with path.open("a") as log:
        log.write(json.dumps(record) + "\n")


def mend(path: Path) -> None:
    """Take a line that was broken off from the end of a JSON Lines file: a run may be killed at any time."""
    if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


class Clock:
    """Time spent in this sitting and before, and the share of it that went into loading."""

    def __init__(self, before: float) -> None:
        self.before = before
        self.began = time.monotonic()
        self.loaded = 0.0
        self.rested = 0.0
        self.entered = 0.0

    @property
    def sitting(self) -> float:
        """Seconds since this sitting began."""
        return time.monotonic() - self.began

    @property
    def seconds(self) -> float:
        """Seconds spent training, all sittings together."""
        return self.before + self.sitting - self.rested

    @property
    def share(self) -> float:
        """Share of this sitting that went into loading."""
        return self.loaded / max(self.sitting, 1e-9)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """For a `with` block in which nothing is trained."""
        entered = time.monotonic()
        yield
        self.rested += time.monotonic() - entered

    def loading(self) -> Clock:
        """For a `with` block that counts as loading."""
        return self

    def __enter__(self) -> None:
        self.entered = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.loaded += time.monotonic() - self.entered


class Meters:
    """Values of the steps since the last report. They stay on their device until somebody asks."""

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
        """Begin anew."""
        self._values = {}

"""Skips updates whose loss or gradient is not finite, or a spike."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable

SPIKE = 30.0
"""Multiple of the median gradient norm that counts as a spike. Ordinary runs stay below 2."""
WINDOW = 100
"""Number of updates for the median norm; spikes are detected once half of them are known."""
IN_A_ROW = 5
"""Number of consecutive skipped updates after which the weights, not a batch, are considered bad."""


class Guard:
    """Checks the loss and gradient of each update against recent ones."""

    def __init__(self, norms: Iterable[float] = ()) -> None:
        self.norms = deque(norms, maxlen=WINDOW)
        """Gradient norms of the last applied updates; part of a checkpoint."""
        self.in_a_row = 0
        """Updates skipped since the last applied one."""
        self.reason: str | None = None
        """Why the last checked update is skipped; None if it is applied."""

    def judge(self, loss: float, norm: float) -> bool:
        """Whether to apply an update."""
        self.reason = self._reason(loss, norm)
        if self.reason is None:
            self.in_a_row = 0
            self.norms.append(norm)
        else:
            self.in_a_row += 1
        return self.reason is None

    @property
    def lost(self) -> bool:
        """Whether too many consecutive updates were skipped to continue."""
        return self.in_a_row >= IN_A_ROW

    def _reason(self, loss: float, norm: float) -> str | None:
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(norm):
            return f"the norm of the gradient is {norm}"
        if len(self.norms) >= WINDOW // 2:
            usual = statistics.median(self.norms)
            if norm > SPIKE * usual:
                return f"the norm of the gradient is {norm:.3g}, usually {usual:.3g}"
        return None

"""Which updates are not made: those whose loss or gradient is not finite, or a spike."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable

SPIKE = 30.0
"""So many times the median norm of the gradient is a spike. Ordinary runs stay below 2."""
WINDOW = 100
"""Updates whose norms the median is taken of; before half of them are known nothing counts as a spike."""
IN_A_ROW = 5
"""So many updates left out one after the other mean that the weights are lost, not that a batch is odd."""


class Guard:
    """Judges each update by its loss and its gradient, and remembers what is usual."""

    def __init__(self, norms: Iterable[float] = ()) -> None:
        self.norms = deque(norms, maxlen=WINDOW)
        """Of the gradients of the last updates that were made; part of what a checkpoint holds."""
        self.in_a_row = 0
        """Updates left out since the last one that was made."""
        self.reason: str | None = None
        """Why the update judged last is left out; None when it is made."""

    def judge(self, loss: float, norm: float) -> bool:
        """Whether an update is to be made."""
        self.reason = self._reason(loss, norm)
        if self.reason is None:
            self.in_a_row = 0
            self.norms.append(norm)
        else:
            self.in_a_row += 1
        return self.reason is None

    @property
    def lost(self) -> bool:
        """Whether too many in a row were left out to go on."""
        return self.in_a_row >= IN_A_ROW

    def _reason(self, loss: float, norm: float) -> str | None:
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(norm):
            return f"the norm of the gradient is {norm}"
        if len(self.norms) >= WINDOW // 2:
            usual = statistics.median(self.norms)
            if norm > SPIKE * usual:
                return f"the norm of the gradient is {norm:.3g}, usual are {usual:.3g}"
        return None

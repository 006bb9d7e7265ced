"""Learning rates over a run, relative to the full one."""

from __future__ import annotations

import math


def warmup_stay_decay(step: int, steps: int, warmup: int, decay_start: int) -> float:
    """Warm up, stay, and fall to zero by 1 - sqrt (WSD): a run can be ended at any time."""
    if step < warmup and step < decay_start:
        return (step + 1) / warmup
    if step < decay_start:
        return 1.0
    return decay((step - decay_start) / max(1, steps - decay_start))


def decay(share: float) -> float:
    """1 - sqrt: from one to zero, for a share in [0, 1] of the way."""
    return 1.0 - math.sqrt(min(1.0, max(0.0, share)))


def warmup_cosine(step: int, steps: int, warmup: int) -> float:
    """Warm up, and fall to zero along a cosine."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

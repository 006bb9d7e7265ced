"""Detection thresholds of kinds, chosen on validation pictures, and the ramps above them.

Shapes: N pictures, K kinds.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clearair.data.degradations import KINDS
from clearair.kinds import REGISTRY
from clearair.perception.compact.recognition import CERTAIN
from clearair.perception.confidence import Caution, Ramp
from clearair.training.perceivers.observations import Observations

MARGIN = 0.05
"""Margin in logits between the highest accepted undamaged picture and the threshold."""
BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Shares of the eyes' logits that are tried for each kind."""


def best_blend(own: Tensor, eye_logits: Tensor, seen: Observations, kind: int) -> float:
    """The share of the eyes' logits that detects most of a kind at few false alarms.

    `own` and `eye_logits` (N,) are logits of the head and of the eyes.
    """
    clean = torch.tensor([group.startswith("undamaged") for group in seen.groups])

    def found(blend: float) -> float:
        logits = own + blend * eye_logits.clamp(-CERTAIN, CERTAIN)
        ranked = logits[clean].sort(descending=True).values
        return sum(recall(logits, ranked[min(alarms, len(ranked) - 1)], seen, kind) for alarms in (0, 1, 3))

    return max(BLENDS, key=found)


def recall(logits: Tensor, threshold: Tensor, seen: Observations, kind: int) -> float:
    """Mean over the groups that have a kind of the share of it that is found, logits (N,)."""
    shares = []
    for group in dict.fromkeys(seen.groups):
        rows = torch.tensor([name == group for name in seen.groups]) & (seen.label[:, kind] == 1)
        if rows.any():
            shares.append(float((logits[rows] > threshold).float().mean()))
    return sum(shares) / max(1, len(shares))


def thresholds(logits: Tensor, seen: Observations, each: float, together: float) -> Tensor:
    """Logits (K,) from which kinds are found, given those of validation pictures (N, K).

    At most a share `each` of undamaged pictures has a kind found, and a share `together` any. False alarms
    are spent one by one where restoring gains most.
    """
    clean = logits[torch.tensor([group.startswith("undamaged") for group in seen.groups])]
    ranked = clean.sort(dim=0, descending=True).values
    spent = [0] * logits.shape[1]
    found = ranked[0].clone()
    while True:
        offers = []
        for kind, alarms in enumerate(spent):
            if alarms + 1 > each * len(clean):
                continue
            lower = found.clone()
            lower[kind] = ranked[alarms + 1, kind]
            if (clean > lower).any(dim=1).float().mean() <= together:
                more, less = (recall(logits[:, kind], line[kind], seen, kind) for line in (lower, found))
                offers.append((REGISTRY[kind].restoring_gains * (more - less), kind, lower))
        gain, kind, lower = max(offers, key=lambda offer: offer[0], default=(0.0, 0, found))
        if gain <= 0:
            return found
        spent[kind] += 1
        found = lower


def ramps(found: Tensor, lengths: Mapping[str, float]) -> Caution:
    """Ramps of these lengths in logits, by kind, from the logits (K,) from which kinds are found."""
    begin = found + MARGIN
    ends = begin + torch.tensor([lengths[kind] for kind in KINDS])
    doubt, sure = begin.sigmoid(), ends.sigmoid()
    each: dict[str, Ramp] = {
        kind: (round(float(doubt[index]), 5), round(float(sure[index]), 5))
        for index, kind in enumerate(KINDS)
    }
    tone = {kind: each[kind] for kind in Caution().tone}
    return Caution(tone, each)


def recall_table(seen: Observations, logits: Tensor, found: Tensor) -> str:
    """For each group, the number of pictures in which its kind is found, and another kind is found."""
    lines = ["| pictures | number | found | others found |", "| --- | --- | --- | --- |"]
    fired = logits > found
    for group in dict.fromkeys(seen.groups):
        rows = torch.tensor([name == group for name in seen.groups])
        there, absent = seen.label[rows] == 1, seen.label[rows] == 0
        right = (fired[rows] & there).any(dim=1).sum() if there.any() else None
        wrong = (fired[rows] & absent).any(dim=1).sum()
        lines.append(
            f"| {group} | {int(rows.sum())} | {'-' if right is None else int(right)} | {int(wrong)} |"
        )
    return "\n".join(lines)

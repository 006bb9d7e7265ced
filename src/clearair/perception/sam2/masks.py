"""Turns overlapping masks into a label map: filters unstable and duplicate masks, resolves overlaps.

Shapes: M masks of logits, h x w at the decoder's own resolution, H x W pixels of the image.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clearair.perception.sam2.settings import MaskSettings
from clearair.percepts import Labels


def flatten_masks(
    logits: Tensor, scores: Tensor, size: tuple[int, int], settings: MaskSettings
) -> tuple[Labels, list[int]]:
    """Logits (M, h, w) with predicted IoUs (M,) -> label map (H, W), and the masks it shows, best first.

    Label n is the n-th of those; where masks overlap the better one has the pixel; 0 = none has it. One
    mask is enlarged at a time, so that a large image costs no more memory than a few copies of it.
    """
    boxes: dict[int, Tensor] = {}
    for index in torch.nonzero(scores > settings.predicted_iou)[:, 0].tolist():
        mask = enlarged(logits[index], size)
        if stability(mask, settings.stability_offset) >= settings.stability:
            boxes[index] = box(mask > 0)
    if not boxes:
        return np.zeros(size, np.uint8), []
    sure = list(boxes)
    best = suppress(torch.stack(list(boxes.values())), scores[sure].cpu(), settings.box_overlap)
    kept = [sure[row] for row in best[: settings.regions]]
    labels: Labels = np.zeros(size, np.uint8)
    for rank in range(len(kept), 0, -1):
        labels[(enlarged(logits[kept[rank - 1]], size) > 0).cpu().numpy()] = rank
    return labels, kept


def enlarged(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """(h, w) -> (H, W)."""
    return F.interpolate(logits[None, None].float(), size, mode="bilinear", align_corners=False)[0, 0]


def stability(logits: Tensor, offset: float) -> float:
    """How far a mask cut at +offset covers the same cut at -offset; 0 for one that is empty at both."""
    inner, outer = int((logits > offset).sum()), int((logits > -offset).sum())
    return inner / outer if outer else 0.0


def box(mask: Tensor) -> Tensor:
    """(H, W) bool -> left, top, right, bottom of what is set, the last two included; zeros for none."""
    rows, columns = torch.nonzero(mask.any(dim=1))[:, 0], torch.nonzero(mask.any(dim=0))[:, 0]
    if not len(rows):
        return torch.zeros(4)
    return torch.stack([columns[0], rows[0], columns[-1], rows[-1]]).float().cpu()


def suppress(boxes: Tensor, scores: Tensor, overlap: float) -> list[int]:
    """Indices of boxes (M, 4) that no better one covers with an IoU above `overlap`, best first.

    Equal scores keep their order. Sides are differences of coordinates, as in torchvision, so a box of one
    pixel has no area and is never suppressed.
    """
    order = scores.argsort(descending=True, stable=True)
    ranked = boxes[order]
    corner, end = ranked[:, :2], ranked[:, 2:]
    shared = (torch.minimum(end[:, None], end) - torch.maximum(corner[:, None], corner)).clamp_min(0).prod(2)
    area = (end - corner).prod(1)
    covers = shared / (area[:, None] + area - shared) > overlap  # 0 / 0 is NaN, and not above
    gone = torch.zeros(len(ranked), dtype=torch.bool)
    kept = []
    for row in range(len(ranked)):
        if not gone[row]:
            kept.append(int(order[row]))
            gone |= covers[row]
    return kept

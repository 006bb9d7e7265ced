from __future__ import annotations

import numpy as np
import pytest
import torch

from clearair.errors import ConfigError
from clearair.perception.sam2.masks import box, enlarged, flatten_masks, stability, suppress
from clearair.perception.sam2.settings import MaskSettings


def naive_suppress(boxes, scores, overlap):
    """As torchvision's nms, a pair at a time."""
    order = sorted(range(len(boxes)), key=lambda index: -float(scores[index]))
    kept = []
    for index in order:
        a = boxes[index].tolist()
        for other in kept:
            b = boxes[other].tolist()
            width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            shared = max(width, 0) * max(height, 0)
            union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
            if union and shared / union > overlap:
                break
        else:
            kept.append(index)
    return kept


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("overlap", [0.3, 0.7])
def test_suppression_is_that_of_pairs(seed, overlap):
    torch.manual_seed(seed)
    corner = torch.randint(0, 6, (60, 2)).float()
    boxes = torch.cat([corner, corner + torch.randint(0, 15, (60, 2))], dim=1)
    scores = torch.randint(0, 9, (60,)) / 9  # with ties, which keep their order
    kept = suppress(boxes, scores, overlap)
    assert kept == naive_suppress(boxes, scores, overlap)
    assert len(kept) > 1
    assert overlap > 0.5 or len(kept) < 60


def test_stability_by_hand():
    logits = torch.tensor([[2.0, 1.5, 0.5], [-0.5, -0.9, -3.0]])
    assert stability(logits, 1.0) == 2 / 5
    assert stability(torch.full((2, 2), -9.0), 1.0) == 0


def test_a_stability_at_the_threshold_is_enough():
    logits = torch.full((1, 4, 4), 20.0)
    logits[0, 0, 0] = 0.5  # inside at -1, outside at +1
    for least, kept in ((15 / 16, [0]), (15.5 / 16, [])):
        settings = MaskSettings(stability=least)
        assert flatten_masks(logits, torch.tensor([0.9]), (4, 4), settings)[1] == kept


def test_masks_are_enlarged_about_the_middles_of_pixels():
    assert enlarged(torch.tensor([[0.0, 4.0]]), (1, 4)).tolist() == [[0, 1, 3, 4]]


def test_a_box_includes_its_last_row_and_column():
    mask = torch.zeros(6, 8, dtype=torch.bool)
    mask[2:4, 3:8] = True
    assert box(mask).tolist() == [3, 2, 7, 3]
    assert box(torch.zeros(3, 3, dtype=torch.bool)).tolist() == [0, 0, 0, 0]


def naive_labels(logits, scores, size, settings):
    masks = []
    for index, score in enumerate(scores.tolist()):
        values = enlarged(logits[index], size).numpy()
        inner, outer = (values > 1).sum(), (values > -1).sum()
        if score > settings.predicted_iou and outer and inner / outer >= settings.stability:
            ys, xs = np.nonzero(values > 0)
            masks.append((score, values > 0, [xs.min(), ys.min(), xs.max(), ys.max()]))
    boxes = torch.tensor([mask[2] for mask in masks]).float()
    kept = naive_suppress(boxes, torch.tensor([mask[0] for mask in masks]), settings.box_overlap)
    labels = np.zeros(size, np.uint8)
    for rank, index in enumerate(kept[: settings.regions], start=1):
        labels[masks[index][1] & (labels == 0)] = rank
    return labels


@pytest.mark.parametrize("settings", [MaskSettings(), MaskSettings(regions=2), MaskSettings(box_overlap=0.1)])
def test_label_maps_are_those_of_masks_painted_one_by_one(settings):
    torch.manual_seed(1)
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    middles, radii = 16 * torch.rand(40, 2), 1 + 5 * torch.rand(40)
    distance = (y - middles[:, :1, None]) ** 2 + (x - middles[:, 1:, None]) ** 2
    logits = 30 * (radii[:, None, None] - distance.sqrt())
    scores = 0.6 + 0.4 * torch.rand(40)
    labels, kept = flatten_masks(logits, scores, (48, 64), settings)
    np.testing.assert_array_equal(labels, naive_labels(logits, scores, (48, 64), settings))
    assert len(kept) > 1
    assert labels.max() <= settings.regions


def test_the_better_mask_has_the_pixel_and_the_lower_number():
    logits = torch.full((2, 8, 8), -20.0)
    logits[0, :, :5] = 20
    logits[1, :, 4:] = 20
    labels, kept = flatten_masks(logits, torch.tensor([0.8, 0.9]), (8, 8), MaskSettings())
    assert kept == [1, 0]
    assert labels[0].tolist() == [2, 2, 2, 2, 1, 1, 1, 1]


def test_a_predicted_iou_at_the_threshold_is_not_above_it():
    logits = torch.full((1, 4, 4), 20.0)
    assert flatten_masks(logits, torch.tensor([0.75]), (4, 4), MaskSettings(predicted_iou=0.75))[1] == []
    assert flatten_masks(logits, torch.tensor([0.75]), (4, 4), MaskSettings(predicted_iou=0.74))[1] == [0]


@pytest.mark.parametrize(
    "bad", [{"regions": 256}, {"regions": 0}, {"points_per_side": 0}, {"dark": 0.5, "brightened": 0.4}]
)
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(ConfigError, match="MaskSettings"):
        MaskSettings(**bad)

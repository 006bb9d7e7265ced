"""Exams: what is shown, what it is called, and how much it counts."""

from __future__ import annotations

from dataclasses import replace

import skimage.data
import torch

from clearair.data.degradations import KINDS
from clearair.data.pixels import REDUCED
from clearair.training.perceivers.calibration_set import (
    DAMAGES,
    MIST_VIEW,
    MIST_WHOLE,
    NIGHT_VIEW,
    NIGHT_WHOLE,
    REAL_DARK,
    draw_calibration_set,
    importance,
)
from clearair.training.perceivers.samples import PerceiverRecipe, Photo

RECIPE = replace(PerceiverRecipe(), batch=2, crops=(160,), ranked=0.0)


def photo() -> torch.Tensor:
    return torch.from_numpy(skimage.data.astronaut()[100:292, 60:500]).permute(2, 0, 1).contiguous()


def batches():
    day, night, pale = Photo(photo()), Photo(photo() // 4), Photo(128 + photo() // 2)
    pair = Photo(photo(), dark=photo() // 8)
    return list(draw_calibration_set([day, night, pale], [pair], RECIPE, range(2)))


def test_scenes_that_are_meant_to_be_dark_are_right_and_count_most():
    nights = [batch for batch in batches() if batch.about == "lowlight" and not batch.kinds.any()]
    # Whole and reduced, each with its mirror image, and two views.
    assert [batch.weight for batch in nights] == [NIGHT_WHOLE, NIGHT_WHOLE, NIGHT_VIEW, NIGHT_VIEW]
    assert max(nights[1].images.shape) == REDUCED < max(nights[0].images.shape)
    assert torch.equal(nights[0].images[0], nights[0].images[1].flip(2))
    assert max(float(batch.images.mean()) for batch in nights) < 70 / 255


def test_scenes_that_are_meant_to_be_pale_are_right_and_count_for_haze():
    pale = [batch for batch in batches() if batch.about == "haze"]
    assert [batch.weight for batch in pale] == [MIST_WHOLE, MIST_WHOLE, MIST_VIEW, MIST_VIEW]
    assert not any(batch.kinds.any() for batch in pale)
    assert min(float(batch.images.mean()) for batch in pale) > 0.5


def test_a_real_pair_is_low_light_on_one_side_only():
    dark, light = next(
        (first, second)
        for first, second in zip(batches(), batches()[1:], strict=False)
        if first.weight == REAL_DARK and first.kinds.any()
    )
    assert [kind for kind, there in zip(KINDS, dark.kinds[0], strict=True) if there] == ["lowlight"]
    assert not light.kinds.any()
    assert dark.images.mean() < light.images.mean() / 6


def test_every_photo_is_shown_as_it_is_with_another_look_and_damaged():
    shown = [batch for batch in batches() if batch.inside is None][-3 * (2 + DAMAGES) :]
    for first in range(0, len(shown), 2 + DAMAGES):
        right, look, *damaged = shown[first : first + 2 + DAMAGES]
        assert not right.kinds.any()
        assert not look.kinds.any()
        assert [int(batch.kinds.sum()) for batch in damaged] == [1] * DAMAGES
        assert len({int(batch.kinds[0].int().argmax()) for batch in damaged}) == DAMAGES
        assert all(not torch.equal(batch.images, right.images) for batch in damaged)


def test_every_photo_is_damaged_in_a_part_and_left_as_it_was_in_the_rest():
    shown = [batch for batch in batches() if batch.inside is not None]
    assert [KINDS[int(batch.kinds[0].int().argmax())] for batch in shown] == list(KINDS[:3])
    noisy = shown[0]
    assert noisy.inside.shape == (1, *noisy.images.shape[2:])
    rough = (noisy.images[..., 1:] - noisy.images[..., :-1]).square().mean(dim=1)
    inside = noisy.inside[..., 1:]
    assert 0.2 < float(inside.float().mean()) < 0.8
    assert rough[inside].mean() > 2 * rough[~inside].mean()


def test_pictures_have_the_levels_of_files():
    for batch in batches():
        levels = batch.images * 255
        torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)


def test_the_same_steps_draw_the_same_exams():
    for first, second in zip(batches(), batches(), strict=True):
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.kinds, second.kinds)


def test_importance_follows_the_kinds():
    assert importance().shape == (len(KINDS),)
    assert importance()[KINDS.index("haze")] > importance()[KINDS.index("noise")] == 1

"""What makes the processor wait for a graphics card: operations whose result it must know to go on."""

from collections import Counter

import pytest
import torch
from tests.waits import Waits

from clearair.data.degradations import KINDS, degrade
from clearair.data.pairs import Mix, draw_pairs, generator_for
from clearair.data.photos import Pair, TrainingPhotos


def waits_for(kinds: list[tuple[str, ...]]) -> Counter[str]:
    with Waits() as waits:
        degrade(torch.rand(len(kinds), 3, 48, 48), kinds, torch.Generator().manual_seed(0))
    return waits.count


def test_the_count_sees_what_waits():
    with Waits() as waits:
        float(torch.rand(()))
        torch.ones(3)[torch.tensor([True, False, True])]
    assert waits.count == {"aten::_local_scalar_dense": 1, "aten::index": 1}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("raindrop", "jpeg")])
def test_damage_is_made_without_waiting(kind):
    assert not waits_for([(kind,), (), (kind,)])


def test_mixtures_are_made_without_waiting():
    assert not waits_for([("haze", "rain"), ("lowlight", "snow"), ()])


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_is_drawn_without_knowing_a_single_value_of_it(seed):
    """On the device `meta` tensors have shapes and no values: whoever asks for one gets an error."""
    photo = torch.randint(0, 256, (3, 90, 120), dtype=torch.uint8)
    photos = TrainingPhotos((photo,), {"lowlight": (Pair(photo // 8, photo),)}).to("meta")
    mix = Mix(single=dict.fromkeys(KINDS, 0.1), looks=0.5, partial=0.5, mixture=0.2)
    pairs = draw_pairs(photos, mix, 64, 64, (0.5, 1.0), generator_for(seed, 0))
    assert pairs.damaged.device.type == pairs.cover.device.type == "meta"
    assert {kind for kinds in pairs.kinds for kind in kinds} == set(KINDS)


def test_where_nothing_may_be_asked_for_values_cannot_be():
    with pytest.raises(RuntimeError):
        torch.rand(3, device="meta").sum().item()
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.rand(3, device="meta").tolist()
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.rand(3, device="meta")[torch.ones(3, dtype=torch.bool, device="meta")]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card here")
def test_a_step_draws_the_same_pairs_on_a_card_and_leaves_them_there():
    photo = torch.randint(0, 256, (3, 90, 120), dtype=torch.uint8)
    photos = TrainingPhotos((photo,), {"lowlight": (Pair(photo // 8, photo),)}).to("cuda")
    one, other = (draw_pairs(photos, Mix(), 16, 48, (0.5, 1.0), generator_for(7, 1)) for _ in range(2))
    assert one.damaged.device.type == one.clean.device.type == "cuda"
    assert torch.equal(one.damaged, other.damaged)

"""What makes the processor wait for a graphics card: operations whose result it must know to go on."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from clearair.data.degradations import degrade
from clearair.data.pairs import Mix, draw_pairs, generator_for
from clearair.data.photos import Pair, TrainingPhotos

WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero"}


class Waits(TorchDispatchMode):
    """Counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket._qualified_op_name
        if name in WAITING or (name.startswith("aten::index") and _by_mask(args)):
            self.count[name] += 1
        return function(*args, **(kwargs or {}))


def _by_mask(args: Any) -> bool:
    """Whether places are chosen by a mask: how many they are is then asked of the card."""
    places = next((arg for arg in args if isinstance(arg, list | tuple)), ())
    return any(place is not None and place.dtype == torch.bool for place in places)


def waits_for(kinds: list[tuple[str, ...]]) -> Counter[str]:
    with Waits() as waits:
        degrade(torch.rand(len(kinds), 3, 48, 48), kinds, torch.Generator().manual_seed(0))
    return waits.count


def test_the_count_sees_what_waits():
    with Waits() as waits:
        float(torch.rand(()))
        torch.ones(3)[torch.tensor([True, False, True])]
    assert waits.count == {"aten::_local_scalar_dense": 1, "aten::index": 1}


@pytest.mark.parametrize("kind", ["haze", "rain", "snow", "lowlight"])
def test_damage_is_made_without_waiting(kind):
    assert not waits_for([(kind,), (), (kind,)])


def test_mixtures_are_made_without_waiting():
    assert not waits_for([("haze", "rain"), ("lowlight", "snow"), ()])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card here")
def test_a_step_draws_the_same_pairs_on_a_card_and_leaves_them_there():
    photo = torch.randint(0, 256, (3, 90, 120), dtype=torch.uint8)
    photos = TrainingPhotos((photo,), {"lowlight": (Pair(photo // 8, photo),)}).to("cuda")
    one, other = (draw_pairs(photos, Mix(), 16, 48, (0.5, 1.0), generator_for(7, 1)) for _ in range(2))
    assert one.damaged.device.type == one.clean.device.type == "cuda"
    assert torch.equal(one.damaged, other.damaged)

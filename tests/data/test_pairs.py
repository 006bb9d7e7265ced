import torch

from clearair.data.pairs import Mix, draw_pairs, generator_for
from clearair.data.photos import Pair, TrainingPhotos


def photos() -> TrainingPhotos:
    generator = torch.Generator().manual_seed(0)
    clean = tuple(
        torch.randint(0, 256, (3, 90, 120), dtype=torch.uint8, generator=generator) for _ in range(3)
    )
    return TrainingPhotos(clean, {"lowlight": (Pair(clean[0] // 8, clean[0]),)})


def draw(step: int, mix: Mix | None = None, batch: int = 6):
    return draw_pairs(photos(), mix or Mix(), batch, 48, (0.5, 1.0), generator_for(7, step))


def test_a_step_draws_the_same_pairs_again():
    first, again, other = draw(3), draw(3), draw(4)
    assert torch.equal(first.damaged, again.damaged)
    assert first.kinds == again.kinds
    assert not torch.equal(first.damaged, other.damaged)


def test_values_are_those_a_file_can_hold():
    pairs = draw(0)
    assert pairs.damaged.shape == pairs.clean.shape == (6, 3, 48, 48)
    for image in (pairs.damaged, pairs.clean):
        assert torch.allclose(image * 255, (image * 255).round(), atol=1e-3)
        assert image.min() >= 0
        assert image.max() <= 1


def test_an_undamaged_pair_has_two_equal_halves():
    pairs = draw(0, Mix(single={"noise": 0.0}, clean=1.0, mixture=0.0))
    assert pairs.kinds == ((),) * 6
    assert torch.equal(pairs.damaged, pairs.clean)


def test_real_damage_is_taken_from_its_pair():
    pairs = draw(0, Mix(single={"lowlight": 1.0}, clean=0.0, mixture=0.0, real={"lowlight": 1.0}))
    assert torch.allclose((pairs.clean * 255).floor() // 8, (pairs.damaged * 255).round(), atol=1.01)


def test_damaged_pictures_differ_from_clean_ones():
    pairs = draw(0, Mix(clean=0.0), batch=12)
    assert all(not torch.equal(a, b) for a, b in zip(pairs.damaged, pairs.clean, strict=True))

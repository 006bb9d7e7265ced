import math
from dataclasses import replace

import pytest
import torch

from clearair.data.degradations import KINDS
from clearair.data.pairs import Mix, draw_pairs, generator_for
from clearair.data.photos import Pair, TrainingPhotos
from clearair.errors import ConfigError


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


def oriented(mix: Mix) -> set[tuple[int, ...]]:
    """The corners of 64 undamaged views of one picture, which tell how they lie."""
    picture = torch.zeros(3, 48, 48, dtype=torch.uint8)
    picture[:, :24, :24], picture[:, :24, 24:], picture[:, 24:, :24] = 250, 160, 80
    mix = replace(mix, single={"noise": 0.0}, clean=1.0, mixture=0.0, looks=0.0)
    pairs = draw_pairs(TrainingPhotos((picture,), {}), mix, 64, 48, (1.0, 1.0), generator_for(7, 0))
    corners = pairs.clean[:, 0, ::47, ::47].flatten(1)  # (64, 4)
    return {tuple(round(255 * value) for value in row) for row in corners.tolist()}


def test_views_lie_in_the_ways_that_the_mix_allows():
    upright, mirrored = (250, 160, 80, 0), (160, 250, 0, 80)
    assert oriented(Mix(turned=0.0)) == {upright, mirrored}
    flipped = {upright, mirrored, (80, 0, 250, 160), (0, 80, 160, 250)}
    assert oriented(Mix(turned=0.0, upside_down=0.5)) == flipped
    assert len(oriented(Mix(turned=0.9))) == 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"single": {"noise": -1.0}},
        {"clean": math.nan},
        {"partial": 1.5},
        {"real": {"lowlight": 2.0}},
        {"sigmas": (0.0,)},
        {"single": {"noise": 0.0}, "clean": 0.0, "mixture": 0.0},
        {"mixtures": ("haze+fog",)},
    ],
)
def test_shares_that_are_none_are_refused(wrong):
    with pytest.raises(ConfigError, match="mix"):
        Mix(**wrong)


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


def test_of_noise_some_pairs_are_real_where_there_are_any():
    few = photos()
    real = Pair(few.clean[0] // 2, few.clean[0])
    both = replace(few, pairs={**few.pairs, "noise": (real,)})
    mix = Mix(single={"noise": 1.0}, clean=0.0, mixture=0.0, partial=0.0, looks=0.0)

    def halved(mix: Mix) -> int:
        """Of 200 views those whose noise is what the pair has."""
        pairs = draw_pairs(both, mix, 200, 16, (0.5, 1.0), generator_for(7, 0))
        close = ((pairs.clean * 255).round() // 2 - (pairs.damaged * 255).round()).abs().amax((1, 2, 3)) <= 1
        return int(close.sum())

    assert 15 < halved(mix) < 50
    assert halved(replace(mix, sigmas=(25.0,))) == 0


def test_all_damage_can_be_partial_and_cover_says_where():
    single = {"noise": 1.0, "haze": 1.0}
    pairs = draw(0, Mix(single=single, clean=0.0, mixture=0.0, partial=1.0), batch=24)
    for index, names in enumerate(pairs.kinds):
        for kind, cover in zip(KINDS, pairs.cover[index], strict=True):
            assert (cover.max() > 0).item() == (kind in names)
    alone = torch.tensor([len(names) == 1 for names in pairs.kinds])
    share = pairs.cover.sum(1).mean((1, 2))
    assert 0 < alone.sum() < 24
    assert torch.allclose(share[~alone], torch.ones(()), atol=1e-5)
    assert share[alone].min() < 0.8


def test_mixtures_alone_can_be_drawn():
    pairs = draw(0, Mix(single={"noise": 0.0}, clean=0.0, mixture=1.0, partial=1.0), batch=12)
    assert all(len(kinds) > 1 for kinds in pairs.kinds)


def test_without_partial_damage_kinds_are_everywhere():
    pairs = draw(0, Mix(clean=0.0, partial=0.0), batch=12)
    expected = torch.tensor([[kind in names for kind in KINDS] for names in pairs.kinds]).float()
    assert torch.equal(pairs.cover, expected[:, :, None, None].expand_as(pairs.cover))


def test_real_damage_covers_everything():
    pairs = draw(0, Mix(single={"lowlight": 1.0}, clean=0.0, mixture=0.0, real={"lowlight": 1.0}))
    assert pairs.cover.sum(1).eq(1).all()
    assert pairs.cover[:, KINDS.index("lowlight")].eq(1).all()


def test_another_look_is_part_of_the_clean_picture():
    mix = Mix(single={"noise": 0.0}, clean=1.0, mixture=0.0)
    plain, looks = draw(0, replace(mix, looks=0.0)), draw(0, replace(mix, looks=1.0))
    assert torch.equal(looks.damaged, looks.clean)
    assert not torch.equal(looks.clean, plain.clean)

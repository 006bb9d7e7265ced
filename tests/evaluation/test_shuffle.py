from dataclasses import replace

import pytest
import torch

from clearair.data.validation import ValidationSet
from clearair.errors import UsageError
from clearair.evaluation.shuffle import ALL, mean_guidance, relabelled, shuffle, shuffle_table, with_percept
from clearair.evaluation.validation import psnr_of_views
from clearair.network import Guidance


def random_guidance(batch: int = 6, regions: int = 4, side: int = 16) -> Guidance:
    generator = torch.Generator().manual_seed(1)

    def unit(*shape: int) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(shape, generator=generator), dim=-1)

    return Guidance(
        quality=2 * unit(batch, 5),
        labels=torch.randint(0, regions, (batch, side, side), generator=generator, dtype=torch.uint8),
        content=unit(batch, 7),
        degradation=unit(batch, 3),
        local_degradation=unit(batch, regions, 3),
        tone=torch.rand(batch, generator=generator),
        change=torch.ones(batch),
        coarse=torch.ones(batch),
    )


class Oracle:
    """Perceives, as quality, by how much an image of mean 0.5 is too bright."""

    def perceive(self, images):
        guidance = random_guidance(len(images), side=images.shape[-1])
        return replace(guidance, quality=images.mean(dim=(1, 2, 3))[:, None] - 0.5)


def obey(image, guidance):
    """Takes away what How says and looks at nothing else."""
    return image - guidance.quality[:, :, None, None]


def shifted(kind: str, shifts: list[float]) -> ValidationSet:
    clean = torch.rand(len(shifts), 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3
    clean = clean - clean.mean(dim=(1, 2, 3), keepdim=True) + 0.5
    shift = torch.tensor(shifts)[:, None, None, None]
    return ValidationSet(kind, clean + shift, clean, tuple(map(str, shifts)))


@pytest.fixture(scope="module")
def found():
    sets = [shifted("bright", [0.2, 0.2, 0.2]), shifted("dark", [-0.1, -0.1]), shifted("one", [0.1])]
    return {(w.percept, w.kind): w for w in shuffle(obey, Oracle(), sets, ["how", "where"])}


def test_a_network_that_obeys_how_loses_what_a_wrong_how_costs(found):
    how = found["how", "bright"]
    assert how.psnr > 50
    # Told of a picture that is 0.1 too dark when it is 0.2 too bright, it is 0.3 off.
    assert how.psnr - how.other_damage == pytest.approx(10.46, abs=0.1)


def test_how_of_a_picture_damaged_alike_costs_nothing(found):
    assert found["how", "bright"].same_damage == pytest.approx(0, abs=0.1)


def test_the_mean_says_less_than_the_truth(found):
    assert found["how", "dark"].mean > 10


def test_a_percept_that_the_network_ignores_adds_exactly_nothing(found):
    where = found["where", "bright"]
    assert (where.other_damage, where.same_damage, where.mean) == (0, 0, 0)


def test_a_set_of_one_has_no_neighbour_and_the_mean_is_over_the_others(found):
    assert found["how", "one"].same_damage is None
    assert found["how", ALL].same_damage == pytest.approx(
        (found["how", "bright"].same_damage + found["how", "dark"].same_damage) / 2
    )


def test_one_set_alone_has_no_other_damage():
    found = shuffle(obey, Oracle(), [shifted("bright", [0.2, 0.1])], ["how"])
    assert [each.other_damage for each in found] == [None, None]
    assert "| how | all |" in shuffle_table(found)


def test_what_is_also_taken_apart():
    found = shuffle(obey, Oracle(), [shifted("bright", [0.2, 0.1])], ["what"])
    assert list(dict.fromkeys(w.percept for w in found)) == ["what", "what: content", "what: degradation"]


def test_an_unknown_percept_is_named():
    with pytest.raises(UsageError, match="when"):
        shuffle(obey, Oracle(), [shifted("bright", [0.2])], ["when"])


def test_only_the_fields_of_the_percept_are_swapped():
    own = random_guidance()
    other = own.permuted(torch.arange(6).flip(0))
    told = with_percept(own, other, "what")
    assert told.content is other.content
    assert told.local_degradation is other.local_degradation
    assert told.quality is own.quality
    assert told.labels is own.labels


def test_a_foreign_region_is_told_what_is_wrong_at_its_own_pixels():
    local = torch.eye(3)[None]
    whole = torch.tensor([[0.0, 0.6, 0.8]])
    own = torch.tensor([[[0, 0, 1, 1]]])
    other = torch.tensor([[[0, 2, 2, 2]]])
    told = relabelled(local, whole, own, other)[0]
    assert told[0].tolist() == [1, 0, 0]
    assert torch.equal(told[1], whole[0])  # has no pixels
    assert torch.allclose(told[2], torch.tensor([1.0, 2.0, 0.0]) / 5**0.5)


def test_the_same_regions_are_told_the_same_again():
    own = random_guidance()
    told = with_percept(own, own, "where")
    assert torch.allclose(told.local_degradation, own.local_degradation, atol=1e-5)


def test_the_mean_is_the_same_for_every_image_and_as_long_as_the_truth():
    mean = mean_guidance(random_guidance())
    assert torch.equal(mean.quality[0], mean.quality[5])
    assert mean.quality.norm(dim=1).tolist() == pytest.approx([2] * 6)
    assert mean.local_degradation.norm(dim=2).flatten().tolist() == pytest.approx([1] * 24)
    assert set(mean.labels.flatten().tolist()) == {1}


def test_psnr_of_the_true_percepts_is_that_of_the_network():
    views = shifted("bright", [0.2, 0.1])
    found = shuffle(obey, Oracle(), [views], ["how"])[1]
    expected = psnr_of_views(
        (obey(views.damaged, Oracle().perceive(views.damaged)) * 255).round() / 255, views.clean
    ).mean()
    assert found.psnr == pytest.approx(float(expected), abs=0.01)

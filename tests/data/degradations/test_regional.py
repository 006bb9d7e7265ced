import pytest
import torch

from clearair.data.degradations import KINDS, degrade, degrade_in_parts
from clearair.data.degradations.regional import FIELDS, draw_mask, lay_together
from clearair.errors import UsageError


def again(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_full_mask_gives_the_first_and_an_empty_one_the_second(photos):
    first = degrade(photos, [("noise",), ("haze", "rain"), ()], again(1))
    second = degrade(photos, [("snow",), (), ("blur",)], again(2))
    for mask, expected in (
        (torch.ones_like(photos[:, :1]), first),
        (torch.zeros_like(photos[:, :1]), second),
    ):
        joined = lay_together(first, second, mask)
        assert torch.equal(joined.image, expected.image)
        assert torch.equal(joined.cover, expected.cover)
        assert torch.allclose(joined.strength, expected.strength)


def test_two_kinds_share_the_picture(photos):
    made = degrade_in_parts(photos, [("noise",)] * 3, [("snow",)] * 3, again())
    noise, snow = made.cover[:, KINDS.index("noise")], made.cover[:, KINDS.index("snow")]
    assert torch.allclose(noise + snow, torch.ones_like(noise), atol=1e-6)
    assert ((noise.mean((1, 2)) > 0.2) & (noise.mean((1, 2)) < 0.8)).all()
    assert made.kinds.sum(1).tolist() == [2, 2, 2]


def test_what_is_not_covered_stays_as_it_was(photos):
    made = degrade_in_parts(photos, [("noise",)] * 3, [()] * 3, again())
    cover = made.cover[:, KINDS.index("noise")]
    change = torch.nn.functional.adaptive_avg_pool2d((made.image - photos).abs().mean(1), cover.shape[1:])
    assert change[cover == 0].max() < 1e-6
    assert change[cover > 0.9].mean() > 0.002


def test_without_a_second_part_it_is_plain_damage(photos):
    kinds = [("rain",), ("lowlight", "snow"), ()]
    parts, plain = degrade_in_parts(photos, kinds, [None] * 3, again()), degrade(photos, kinds, again())
    for name, value in vars(plain).items():
        assert torch.equal(getattr(parts, name), value)


def test_a_kind_on_both_sides_is_everywhere(photos):
    made = degrade_in_parts(photos, [("blur",)] * 3, [("blur",)] * 3, again())
    assert torch.allclose(made.cover[:, KINDS.index("blur")], torch.ones(()))
    assert (made.strength[:, KINDS.index("blur")] > 0).all()


def test_the_same_seed_gives_the_same_parts(photos):
    first, same, other = (
        degrade_in_parts(photos, [("haze",)] * 3, [(), ("rain",), None], again(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first.image, same.image)
    assert torch.equal(first.cover, same.cover)
    assert not torch.equal(first.image, other.image)


@pytest.mark.parametrize("draw_field", FIELDS)
def test_every_field_varies_over_the_picture(photos, draw_field):
    field = draw_field(photos, again())
    assert field.expand(3, 1, *photos.shape[2:]).shape == (3, 1, *photos.shape[2:])
    assert (field.std((2, 3)) > 1e-3).all()


def test_masks_leave_each_part_a_quarter_or_more(photos):
    masks = draw_mask(photos.repeat(12, 1, 1, 1), again())
    share = masks.mean((1, 2, 3))
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert share.min() > 0.17
    assert share.max() < 0.83


def test_unequal_numbers_of_parts_are_refused(photos):
    with pytest.raises(UsageError, match="equally many"):
        degrade_in_parts(photos, [()] * 3, [()], again())

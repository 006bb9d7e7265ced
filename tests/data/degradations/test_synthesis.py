import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearair.data.degradations import CDD11, KINDS, degrade
from clearair.data.degradations.jpeg import Jpeg
from clearair.errors import UsageError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_changes_the_picture_and_stays_in_range(photos, kind):
    image = degrade(photos, [(kind,)] * 3, seeded(), 0.5).image
    assert image.shape == photos.shape
    assert image.dtype == torch.float32
    assert image.min() >= 0
    assert image.max() <= 1
    assert ((image - photos).abs().amax((1, 2, 3)) > 0.02).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bits(photos, kind):
    first, second, other = (degrade(photos, [(kind,)] * 3, seeded(seed)).image for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.fixture
def doubles_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", [None, 1.0])
def test_a_default_of_double_precision_changes_nothing(photos, kind, strength, request):
    kinds = [(kind,), (kind, "haze"), (kind, "jpeg")]
    usual = [degrade(photos, kinds, seeded(seed), strength).image for seed in range(3)]
    request.getfixturevalue("doubles_by_default")
    for seed, expected in enumerate(usual):
        image = degrade(photos, kinds, seeded(seed), strength).image
        assert image.dtype == torch.float32
        assert torch.equal(image, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_severity_grows_with_strength_on_average(photos, kind):
    many = photos.repeat(4, 1, 1, 1)
    errors = [
        (degrade(many, [(kind,)] * 12, seeded(), strength).image - many).square().mean().item()
        for strength in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert errors == sorted(errors)
    assert errors[-1] > 2 * errors[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (7, 7), (17, 33), (250, 16), (16, 300)])
def test_odd_and_tiny_sizes_give_numbers_in_range(kind, size):
    clean = torch.rand(2, 3, *size, generator=seeded())
    for strength in (0.0, 1.0):
        image = degrade(clean, [(kind,), (kind, "noise")], seeded(), strength).image
        assert image.shape == clean.shape
        assert ((image >= 0) & (image <= 1)).all()  # also false for NaN


def test_a_picture_without_kinds_is_left_untouched(photos):
    result = degrade(photos, [(), ("haze", "rain"), ()], seeded())
    assert torch.equal(result.image[[0, 2]], photos[[0, 2]])
    assert not torch.equal(result.image[1], photos[1])


def test_the_caller_keeps_the_clean_pictures(photos):
    before = photos.clone()
    degrade(photos, [KINDS] * 3, seeded())
    assert torch.equal(photos, before)


@given(
    st.lists(st.sets(st.sampled_from(KINDS)), min_size=1, max_size=5),
    st.one_of(st.none(), st.floats(0.01, 1)),
)
@settings(max_examples=30, deadline=None)
def test_what_was_done_is_reported(kinds, strength):
    result = degrade(torch.rand(len(kinds), 3, 16, 16), [tuple(names) for names in kinds], seeded(), strength)
    for row, names in enumerate(kinds):
        assert {kind for kind, present in zip(KINDS, result.kinds[row], strict=True) if present} == names
        assert (result.strength[row][~result.kinds[row]] == 0).all()
        if strength is not None:
            assert torch.allclose(result.strength[row][result.kinds[row]], torch.tensor(strength))


def test_strength_may_differ_between_pictures(photos):
    same = photos[:1].repeat(3, 1, 1, 1)
    result = degrade(same, [("noise",)] * 3, seeded(), torch.tensor([0.0, 0.5, 1.0]))
    assert result.strength[:, KINDS.index("noise")].tolist() == [0, 0.5, 1]
    errors = (result.image - same).square().mean((1, 2, 3))
    assert errors[0] < errors[1] < errors[2]


def test_the_file_comes_last(photos):
    result = degrade(photos, [("jpeg", "noise")] * 3, seeded(), 1.0).image
    # What JPEG has quantised, the same JPEG leaves nearly alone; noise on top would not survive it.
    again = Jpeg(torch.full((3,), 8.0), torch.zeros(3, dtype=torch.bool))
    noisy = degrade(photos, [("noise",)] * 3, seeded(), 1.0).image
    smoothness = [(image[..., 1:] - image[..., :-1]).abs().mean() for image in (result, again(noisy), noisy)]
    assert smoothness[0] < 0.7 * smoothness[2]
    assert smoothness[0] == pytest.approx(smoothness[1].item(), rel=0.4)


def test_sensor_noise_is_not_darkened_with_the_scene(photos):
    result = degrade(photos, [("noise", "lowlight")] * 3, seeded(), 1.0).image
    # Noise of 55/255 clipped at black keeps 0.58 of its deviation; darkened it would keep a few hundredths.
    assert result.std() > 0.08


def test_rain_on_a_hazy_day_is_not_hidden_by_the_haze(photos):
    dark = torch.zeros_like(photos)
    hazy = degrade(dark, [("haze",)] * 3, seeded(), 1.0).image
    rainy = degrade(dark, [("rain", "haze")] * 3, seeded(), 1.0).image
    assert rainy.amax((1, 2, 3)).mean() > hazy.amax((1, 2, 3)).mean()
    fine = [(image[..., 1:] - image[..., :-1]).abs().mean() for image in (hazy, rainy)]
    assert fine[1] > 3 * fine[0]


def test_mixtures_of_cdd11_are_made(photos):
    clean = photos[:1].expand(len(CDD11), -1, -1, -1)
    result = degrade(clean, CDD11, seeded())
    assert len(set(CDD11)) == 11
    assert result.kinds.sum(1).tolist() == [len(names) for names in CDD11]
    assert result.image.isfinite().all()


def test_a_given_depth_shapes_the_haze(photos):
    depth = torch.linspace(0.5, 40, 256).expand(3, 1, 192, 256)
    image = degrade(torch.zeros_like(photos), [("haze",)] * 3, seeded(), 0.7, depth=depth).image
    assert (image.diff(dim=-1) >= 0).all()
    assert (image[..., -1] > image[..., 0] + 0.2).all()


def test_an_unknown_kind_is_refused_with_the_known_ones(photos):
    with pytest.raises(UsageError, match=r"'fog'.*haze.*lowlight"):
        degrade(photos, [("fog",), (), ()], seeded())


def test_one_entry_per_picture_is_asked_for(photos):
    with pytest.raises(UsageError, match="got 1 for 3"):
        degrade(photos, [("haze",)], seeded())


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_a_strength_out_of_range_is_refused(photos, strength):
    with pytest.raises(UsageError, match="strength"):
        degrade(photos, [("haze",)] * 3, seeded(), strength)

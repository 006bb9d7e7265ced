import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clearair.errors import ConfigError
from clearair.perception.confidence import Caution

NAMES = ("noise", "haze", "lowlight", "blur")
CAUTION = Caution({"haze": (0.2, 0.8), "lowlight": (0.5, 0.9), "rain": (0.8, 0.9)}, {"noise": (0.1, 0.3)})

ROUNDING = 1e-6
"""Of float32 sums."""

unit = arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32))


def one(name: str, probability: float = 1.0, names=NAMES):
    return np.array([[probability * (known == name) for known in names]], np.float32)


@given(probabilities=unit)
def test_shares_lie_between_nothing_and_everything(probabilities):
    shares = CAUTION.shares(probabilities, NAMES)
    for share in (shares.tone, shares.change, shares.coarse):
        assert share.shape == (3,)
        assert share.min() >= 0
        assert share.max() <= 1


@given(probabilities=unit, more=unit)
def test_more_confidence_never_means_less_change(probabilities, more):
    lower = CAUTION.shares(probabilities, NAMES)
    higher = CAUTION.shares(np.maximum(probabilities, more), NAMES)
    assert (higher.tone >= lower.tone - ROUNDING).all()
    assert (higher.change >= lower.change - ROUNDING).all()


@pytest.mark.parametrize(("name", "counts"), [("noise", False), ("haze", True), ("lowlight", True)])
def test_tone_is_changed_for_kinds_that_change_it(name, counts):
    shares = CAUTION.shares(one(name), NAMES)
    assert shares.tone[0] == counts
    assert shares.change[0] == 1


@pytest.mark.parametrize(
    ("share", "name", "ramp"),
    [
        ("tone", "haze", (0.2, 0.8)),
        ("tone", "rain", (0.8, 0.9)),
        ("change", "haze", (0.2, 0.8)),
        ("change", "lowlight", (0.5, 0.9)),
        ("change", "noise", (0.1, 0.3)),
        ("change", "rain", (0.2, 0.5)),
        ("change", "blur", (0.2, 0.5)),
    ],
)
def test_doubt_changes_nothing_and_half_way_is_half(share, name, ramp):
    for probability, expected in ((ramp[0], 0), (sum(ramp) / 2, 0.5), (ramp[1], 1)):
        shares = CAUTION.shares(one(name, probability, (name,)), (name,))
        assert getattr(shares, share)[0] == pytest.approx(expected, abs=1e-5)


def test_a_perceiver_that_knows_no_such_kind_leaves_the_tone():
    assert CAUTION.shares(np.ones((1, 2), np.float32), ("noise", "blur")).tone[0] == 0


def test_without_words_nothing_is_held_back():
    shares = CAUTION.shares(np.zeros((2, 0), np.float32), ())
    assert all((share == 1).all() for share in (shares.tone, shares.change, shares.coarse))


def test_words_that_sum_to_one_say_which_and_never_whether():
    shares = CAUTION.shares(np.array([[0.5, 0.45, 0.05]], np.float32), ("hazy", "rainy", "blurry"))
    assert shares.change[0] == 1
    assert shares.coarse[0] == 1
    assert shares.tone[0] == pytest.approx(1)


@given(probabilities=unit)
def test_tensors_have_the_same_shares(probabilities):
    arrays_, tensors = (CAUTION.shares(kind, NAMES) for kind in (probabilities, torch.tensor(probabilities)))
    for share in ("tone", "change", "coarse"):
        assert isinstance(getattr(tensors, share), torch.Tensor)
        assert np.allclose(getattr(tensors, share), getattr(arrays_, share), atol=1e-6)


@pytest.mark.parametrize(("name", "coarse"), [("noise", 1), ("blur", 0), ("haze", 0), ("lowlight", 1)])
def test_what_is_coarse_is_changed_for_kinds_that_change_it(name, coarse):
    assert CAUTION.shares(one(name), NAMES).coarse[0] == coarse


def test_haze_holds_back_what_is_coarse_as_far_as_it_is_sure():
    both = np.array([[1, 0.5, 0, 0]], np.float32)
    assert CAUTION.shares(both, NAMES).coarse[0] == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("ramp", [(0.5, 0.5), (0.6, 0.2), (-0.1, 0.4), (0.3, 1.2), (0.3,)])
def test_a_ramp_must_rise_within_zero_and_one(ramp):
    with pytest.raises(ConfigError, match="ramp"):
        Caution({"haze": ramp})


def test_plain_values_come_back():
    assert Caution.from_dict(CAUTION.to_dict()) == CAUTION


@pytest.mark.parametrize("values", [{}, {"tone": {}, "change": [], "other": [0, 1]}, {"tone": 3}])
def test_plain_values_of_another_form_are_refused(values):
    with pytest.raises(ConfigError):
        Caution.from_dict(values)

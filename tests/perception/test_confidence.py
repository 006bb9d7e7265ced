import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clearair.perception.confidence import (
    CHANGE_RAMP,
    TONE_RAMPS,
    change_share,
    coarse_share,
    shares_of,
    tone_share,
)

NAMES = ("noise", "haze", "lowlight", "blur")

unit = arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32))


@given(probabilities=unit)
def test_shares_lie_between_nothing_and_everything(probabilities):
    for share in (share(probabilities, NAMES) for share in (tone_share, change_share, coarse_share)):
        assert share.shape == (3,)
        assert share.min() >= 0
        assert share.max() <= 1


@given(probabilities=unit, more=unit)
def test_more_confidence_never_means_less_change(probabilities, more):
    higher = np.maximum(probabilities, more)
    assert (tone_share(higher, NAMES) >= tone_share(probabilities, NAMES)).all()
    assert (change_share(higher, NAMES) >= change_share(probabilities, NAMES)).all()


@pytest.mark.parametrize(("name", "counts"), [("noise", False), ("haze", True), ("lowlight", True)])
def test_tone_is_changed_for_kinds_that_change_it(name, counts):
    probabilities = np.array([[float(known == name) for known in NAMES]], np.float32)
    assert tone_share(probabilities, NAMES)[0] == counts
    assert change_share(probabilities, NAMES)[0] == 1


@pytest.mark.parametrize(
    ("share", "name", "ramp"),
    [
        (tone_share, "haze", TONE_RAMPS["haze"]),
        (tone_share, "rain", TONE_RAMPS["rain"]),
        (change_share, "haze", TONE_RAMPS["haze"]),
        (tone_share, "lowlight", TONE_RAMPS["lowlight"]),
        (change_share, "rain", CHANGE_RAMP),
        (change_share, "noise", CHANGE_RAMP),
    ],
)
def test_doubt_changes_nothing_and_half_way_is_half(share, name, ramp):
    for probability, expected in ((ramp[0], 0), (sum(ramp) / 2, 0.5), (ramp[1], 1)):
        assert share(np.array([[probability]], np.float32), (name,))[0] == pytest.approx(expected, abs=1e-5)


def test_a_perceiver_that_knows_no_such_kind_leaves_the_tone():
    assert tone_share(np.ones((1, 2), np.float32), ("noise", "blur"))[0] == 0


@given(probabilities=unit)
def test_shares_of_a_batch_on_its_device_are_the_same(probabilities):
    tone, change, coarse = shares_of(torch.from_numpy(probabilities), NAMES)
    assert np.allclose(tone, tone_share(probabilities, NAMES), atol=1e-6)
    assert np.allclose(change, change_share(probabilities, NAMES), atol=1e-6)
    assert np.allclose(coarse, coarse_share(probabilities, NAMES), atol=1e-6)


@pytest.mark.parametrize(
    ("found", "coarse"),
    [({}, 0), ({"blur": 1}, 0), ({"noise": 1}, 1), ({"noise": 1, "haze": 1}, 0), ({"lowlight": 1}, 1)],
)
def test_the_mean_colour_of_places_is_left_through_haze_and_where_nothing_changed_it(found, coarse):
    probabilities = np.array([[float(found.get(name, 0)) for name in NAMES]], np.float32)
    assert coarse_share(probabilities, NAMES)[0] == coarse


def test_the_less_haze_is_named_the_more_may_change_the_mean_colour_of_places():
    half = sum(TONE_RAMPS["haze"]) / 2
    probabilities = np.array([[1.0, half, 0.0, 0.0]], np.float32)
    assert coarse_share(probabilities, NAMES)[0] == pytest.approx(0.5, abs=1e-5)

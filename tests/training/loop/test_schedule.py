import pytest

from clearair.training.loop.schedule import warmup_cosine, warmup_stay_decay


def test_the_cosine_warms_up_and_falls_to_almost_nothing():
    rates = [warmup_cosine(step, 100, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.001


def test_a_run_shorter_than_its_warm_up_still_decays():
    rates = [warmup_stay_decay(step, 4, warmup=100, decay_start=2) for step in range(4)]
    assert rates[:2] == [0.01, 0.02]
    assert rates[2] > rates[3] > 0

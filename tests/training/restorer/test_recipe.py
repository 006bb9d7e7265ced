from dataclasses import replace

import pytest

from clearair.errors import ConfigError
from clearair.training.restorer.recipe import Stage
from clearair.training.restorer.recipes import smoke


def test_the_rate_warms_up_stays_and_decays_to_almost_nothing():
    recipe = replace(smoke(), steps=100, warmup=10, decay_steps=20)
    rates = [recipe.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:80] == [1.0] * 70
    assert rates[80:] == sorted(rates[80:], reverse=True)
    assert 0 < rates[-1] < 0.05


def test_a_longer_run_has_the_same_rates_until_the_shorter_one_decays():
    short, long = (replace(smoke(), steps=steps, warmup=5, decay_steps=10) for steps in (50, 90))
    assert all(short.rate(step) == long.rate(step) for step in range(40))


def test_a_stage_holds_from_its_step_on():
    recipe = replace(smoke(), stages=(Stage(10, 2, 80, 96), Stage(20, 1, 96, 128)))
    found = [(at.batch, at.patch, at.view) for at in map(recipe.at, (0, 9, 10, 19, 20, 500))]
    first = (smoke().batch, smoke().patch, smoke().view)
    assert found == [first, first, (2, 80, 96), (2, 80, 96), (1, 96, 128), (1, 96, 128)]


@pytest.mark.parametrize("starts", [(0,), (5, 5), (9, 5)])
def test_stages_out_of_order_are_refused(starts):
    with pytest.raises(ConfigError, match="one after the other"):
        replace(smoke(), stages=tuple(Stage(start, 2, 64, 96) for start in starts))


def test_a_stage_whose_patch_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="128 and 96"):
        Stage(5, 2, 128, 96)


def test_a_patch_larger_than_its_view_is_refused():
    with pytest.raises(ConfigError, match="patch"):
        replace(smoke(), patch=300)

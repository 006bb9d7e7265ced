from dataclasses import replace

import pytest

from clearair.errors import ConfigError
from clearair.training.recipe import RECIPES, get_recipe, smoke


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


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_had_by_its_name(name):
    assert get_recipe(name).name == name


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="compact"):
        get_recipe("compct")


def test_a_patch_larger_than_its_view_is_refused():
    with pytest.raises(ConfigError, match="patch"):
        replace(smoke(), patch=300)

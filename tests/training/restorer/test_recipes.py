import csv
import math
from dataclasses import replace
from importlib.resources import files

import pytest
import torch

from clearair.data.pairs import _draw_kinds
from clearair.errors import ConfigError
from clearair.training.recipes import get_recipe
from clearair.training.restorer.recipes import restorers, smoke
from clearair.training.restorer.variants import component_variants, perception_orders


def published(table: str) -> set[str]:
    text = (files("clearair.evaluation") / "paper_tables.csv").read_text()
    return {line["method"] for line in csv.DictReader(text.splitlines()) if line["table"] == table}


@pytest.mark.parametrize("name", restorers())
def test_every_recipe_has_its_own_name(name):
    assert get_recipe(name).name == name


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="compact"):
        get_recipe("compct")


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("three_task", {"noise", "haze", "rain"}),
        ("five_task", {"noise", "haze", "rain", "blur", "lowlight"}),
        ("composite", {"haze", "rain", "lowlight", "snow"}),
        ("single_deblur", {"blur"}),
    ],
)
def test_single_damage_is_what_the_setting_names(name, kinds):
    generator = torch.Generator().manual_seed(0)
    drawn = [_draw_kinds(get_recipe(name).mix, generator) for _ in range(200)]
    assert {found[0] for found in drawn if len(found) == 1} == kinds


def test_variants_are_named_as_in_the_published_tables():
    assert set(perception_orders(smoke())) == published("6")
    assert set(component_variants(smoke())) == published("7")


def test_each_variant_differs_from_every_other():
    variants = component_variants(smoke()).values()
    states = {(v.network.quality, v.network.regions, v.network.degradation, v.clue_reuse) for v in variants}
    assert len(states) == 8
    assert len({variant.network.order for variant in perception_orders(smoke()).values()}) == 3


def test_the_spectrum_counts_in_our_own_recipe_and_in_none_of_the_paper():
    assert {name for name in restorers() if get_recipe(name).fft > 0} == {"compact", "smoke"}


def test_the_papers_recipes_train_as_the_paper_does():
    for name in ("three_task", "single_denoise", "ablation"):
        recipe = get_recipe(name)
        assert (recipe.optimizer, recipe.learning_rate, recipe.batch) == ("adamw", 2e-4, 4)
        assert (recipe.view, recipe.patch, recipe.scales) == (256, 256, (1.0, 1.0))
        mix = recipe.mix
        assert (mix.turned, mix.upside_down, mix.sigmas) == (0.0, 0.5, (15.0, 25.0, 50.0))
        assert not any((mix.looks, mix.partial, mix.measured, mix.real, mix.enlarged))
    assert get_recipe("three_task").steps == 300_000
    assert get_recipe("ablation").steps == 100_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": -1.0},
        {"learning_rate": math.nan},
        {"patch": 0},
        {"ema": 2.0},
        {"scales": (2.0, 1.0)},
        {"mask_dropout": 1.5},
        {"clip": 0.0},
        {"fft": -0.1},
        {"balance": 1.5},
        {"balance_fine": True},
    ],
)
def test_numbers_with_which_nothing_is_learnt_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        replace(smoke(), **wrong)

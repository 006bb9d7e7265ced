from dataclasses import replace

import pytest

from clearair.training.recipes import RECIPES, get_recipe
from clearair.training.restorer.recipes import ablation, compact, small
from clearair.training.restorer.variants import FAMILIES, slug


@pytest.mark.parametrize("name", FAMILIES)
def test_the_full_variant_is_the_recipe_itself(name):
    family = FAMILIES[name]
    assert family.variants(small())[family.full] == small()


@pytest.mark.parametrize("name", FAMILIES)
def test_no_two_variants_are_the_same(name):
    found = list(FAMILIES[name].variants(small()).values())
    assert len({str(recipe) for recipe in found}) == len(found)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_variant_can_be_trained_alone_by_its_name(name):
    for variant, recipe in FAMILIES[name].variants(ablation()).items():
        listed = f"{name}_{slug(variant)}"
        assert get_recipe(listed) == replace(recipe, name=listed)
        assert variant in RECIPES[listed].about


def test_without_components_nothing_else_tells_the_network_what_is_wrong():
    for recipe in FAMILIES["components"].variants(compact()).values():
        assert not recipe.network.tone
        assert not recipe.network.cautious


def test_names_for_files_hold_letters_and_underscores_alone():
    assert slug("IQA+SGU") == "iqa_sgu"
    assert slug("paper, JND") == "paper_jnd"

from dataclasses import fields

import pytest

from clearair.errors import ConfigError
from clearair.training.loop.fields import override
from clearair.training.restorer.recipe import Recipe, Stage
from clearair.training.restorer.recipes import compact


def test_fields_are_read_as_their_own_type():
    recipe = override(
        compact(),
        [
            "batch=8",
            "learning_rate=2e-4",
            "scales=0.5,1",
            "clue_reuse=paper",
            "network.tone=false",
            "network.blocks=1,2,3",
            "mix.single.noise=0.5",
            "mix.clean=0",
            "stages=100/12/96/192,200/8/128/192",
        ],
    )
    assert recipe.batch == 8
    assert recipe.learning_rate == 2e-4
    assert recipe.scales == (0.5, 1.0)
    assert recipe.clue_reuse == "paper"
    assert recipe.network.tone is False
    assert recipe.network.blocks == (1, 2, 3)
    assert recipe.mix.single["noise"] == 0.5
    assert recipe.mix.single["haze"] == compact().mix.single["haze"]
    assert recipe.mix.clean == 0.0
    assert recipe.stages == (Stage(100, 12, 96, 192), Stage(200, 8, 128, 192))
    assert override(compact(), ["clue_reuse=off"]).clue_reuse == "off"


def test_every_field_that_is_one_value_can_be_set_to_what_it_is():
    recipe = compact()
    for field in fields(Recipe):
        value = getattr(recipe, field.name)
        if isinstance(value, int | float | str):
            assert override(recipe, [f"{field.name}={value}"]) == recipe


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("bach=8", "did you mean 'batch'"),
        ("mix.single.nose=1", "did you mean 'mix.single.noise'"),
        ("batch=many", "batch must be int; got 'many'"),
        ("network.tone=yes", "true or false"),
        ("clue_reuse=papr", "paper, detached, anchored"),
        ("scales=1", "2 values"),
        ("stages=100/8", "start/batch/patch/view"),
        ("mix=1", "mix.clean"),
        ("batch.size=3", "no fields"),
        ("batch", "NAME=VALUE"),
        ("patch=500", "must fit"),
        ("stages=0/8/64/160", "after step 0"),
    ],
)
def test_what_cannot_be_set_is_said_in_one_line(setting, message):
    with pytest.raises(ConfigError, match=message) as error:
        override(compact(), [setting])
    assert "\n" not in str(error.value)

"""Recipes in TOML files: a listed recipe and what is changed of it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from clearair.apps.cli.program import cli
from clearair.errors import ConfigError, UsageError
from clearair.training.loop.checkpoint import load_checkpoint
from clearair.training.loop.resume import LATEST
from clearair.training.recipes import RECIPES, get_recipe, read_recipe, to_toml
from clearair.training.restorer.recipe import Stage
from clearair.training.restorer.recipes import compact, smoke

OWN = """
recipe = "smoke"
patch = 96
view = 128
learning_rate = 2e-3
scales = [0.5, 1]
stages = [{start = 40, batch = 2, patch = 64, view = 96}]

[network]
tone = true


[mix.single]
noise = 0.5
"""


def test_a_file_changes_fields_of_the_recipe_that_it_names(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    recipe = read_recipe(str(path))
    assert (recipe.patch, recipe.view, recipe.learning_rate, recipe.scales) == (96, 128, 2e-3, (0.5, 1.0))
    assert recipe.stages == (Stage(40, 2, 64, 96),)
    assert recipe.network.tone
    assert recipe.mix.single["noise"] == 0.5
    assert recipe.mix.single["haze"] == smoke().mix.single["haze"]
    assert recipe.batch == smoke().batch


def test_the_command_line_has_the_last_word(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('recipe = "compact"\nbatch = 8\nmix.own = 0.2\n')
    assert read_recipe(str(path), ["batch=4"]).batch == 4
    assert read_recipe(str(path), own_pairs=True).mix.own == 0.2
    assert read_recipe("compact", own_pairs=True).mix.own == 0.5
    assert read_recipe("compact", ["mix.own=0.9"], own_pairs=True).mix.own == 0.9
    with pytest.raises(UsageError, match="perceivers does not use them"):
        read_recipe("perceivers", own_pairs=True)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_shown_and_read_again(name, tmp_path):
    path = tmp_path / "whole.toml"
    path.write_text(to_toml(name, get_recipe(name)))
    assert read_recipe(str(path)) == get_recipe(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch = 8", 'name the recipe it begins with, such as recipe = "compact"'),
        ('recipe = "compat"', "did you mean 'compact'"),
        ('recipe = "compact"\npach = 8', r"no field 'pach' \(did you mean 'patch'"),
        ('recipe = "compact"\n[mix.single]\nnose = 1', r"no field 'mix\.single\.nose'"),
        ('recipe = "compact"\nbatch = 1.5', "batch must be int; got 1.5"),
        ('recipe = "compact"\nbatch = true', "batch must be int; got True"),
        ('recipe = "compact"\nnetwork.tone = 1', r"network\.tone must be true or false"),
        ('recipe = "compact"\nscales = 1', "scales must be several values"),
        ('recipe = "compact"\nstages = [{start = 5}]', "stages needs start/batch/patch/view"),
        ('recipe = "compact"\nnetwork = 3', "network: set one of its fields"),
        ('recipe = "compact"\nbatch.size = 3', r"batch\.size: batch has no fields"),
        ('recipe = "compact"\npatch = 500', "Recipe.patch 500 must fit"),
        ("batch 8", "cannot be read as TOML"),
    ],
)
def test_an_error_names_the_file_and_the_field_in_one_line(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"mine\.toml: .*{message}") as error:
        read_recipe(str(path))
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"nowhere\.toml: there is no such file"):
        read_recipe("nowhere.toml")


def test_show_prints_the_recipe_with_its_changes():
    done = CliRunner().invoke(cli, ["train", "compact", "batch=4", "--steps", "7", "--show"])
    assert done.exit_code == 0
    assert 'recipe = "compact"\n' in done.stdout
    assert "batch = 4\n" in done.stdout
    assert "steps = 7\n" in done.stdout
    assert f"view = {compact().view}\n" in done.stdout


def test_a_run_by_a_file_learns_what_the_same_changes_learn(data, tmp_path):
    path = tmp_path / "own.toml"
    fields = {"steps": 1, "batch": 1, "view": 64, "patch": 32, "warmup": 1}
    path.write_text('recipe = "smoke"\n' + "".join(f"{name} = {value}\n" for name, value in fields.items()))
    for out, words in (("file", [str(path)]), ("line", ["smoke", *(f"{n}={v}" for n, v in fields.items())])):
        common = ["--data", str(data), "--out", str(tmp_path / out), "--views", "0", "--device", "cpu"]
        done = CliRunner().invoke(cli, ["train", *words, *common, "--threads", "1"])
        assert done.exit_code == 0, done.output
    first, second = (load_checkpoint(tmp_path / out / LATEST) for out in ("file", "line"))
    assert first.recipe == second.recipe
    assert all((first.tensors[name] == second.tensors[name]).all() for name in first.tensors)

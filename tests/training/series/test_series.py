"""Series of runs: what a file may say, and which runs follow from it."""

from __future__ import annotations

import pytest

from clearair.errors import ConfigError
from clearair.training.recipes import get_recipe
from clearair.training.series.series import LISTED, Mean, Planned, is_series, read_series

TWO = """
[[runs]]
name = "first"
recipe = "smoke"

[[runs]]
name = "second"
recipe = "smoke"
start = "first"
patch = 48
mix.single.noise = 0.9

[[runs]]
name = "both"
mean = {first = 0.25, second = 0.75}
"""


def written(tmp_path, text):
    path = tmp_path / "own.toml"
    path.write_text(text)
    return str(path)


def test_a_file_lists_runs_in_order_with_changed_fields(tmp_path):
    word = written(tmp_path, TWO)
    assert is_series(word)
    first, second, both = read_series(word).runs
    assert first == Planned("first", get_recipe("smoke"))
    assert isinstance(second, Planned)
    assert (second.start, second.recipe.patch) == ("first", 48)
    assert second.recipe.mix.single["noise"] == 0.9
    assert both == Mean("both", {"first": 0.25, "second": 0.75})


def test_a_change_reaches_every_run_that_has_the_field(tmp_path):
    text = TWO + '[[runs]]\nname = "eyes"\nrecipe = "recognizer"\n'
    first, second, _, eyes = read_series(written(tmp_path, text), ["batch=2", "views=7"]).runs
    assert first.recipe.batch == second.recipe.batch == 2
    assert eyes.recipe.views == 7
    with pytest.raises(ConfigError, match=r"No run of this series has a field 'bach' \(did you mean 'batch'"):
        read_series(written(tmp_path, text), ["bach=2"])


def test_recipes_and_their_files_are_no_series(tmp_path):
    assert not is_series("compact")
    assert not is_series(written(tmp_path, 'recipe = "smoke"\n'))
    assert not is_series(written(tmp_path, "runs = [\n"))
    assert not is_series(str(tmp_path / "absent.toml"))


@pytest.mark.parametrize("name", LISTED)
def test_listed_series_can_be_read(name):
    assert is_series(name)
    assert read_series(name).runs


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("runs = []\n", "at least one run"),
        ("runs = [1]\n", "must be tables"),
        ("steps = 3\n" + TWO, "steps: a series has nothing but"),
        (TWO.replace('"second"', '"first"'), "two runs have this name"),
        (TWO.replace('name = "first"', 'name = "../first"'), "small letters, digits"),
        (TWO.replace('name = "first"', ""), "small letters, digits"),
        (TWO.replace('recipe = "smoke"', 'recipe = "smok"', 1), "run 'first': .*did you mean 'smoke'"),
        (TWO.replace('recipe = "smoke"', "", 1), "run 'first': name its recipe"),
        (TWO.replace("patch", "pach"), r"run 'second': There is no field 'pach' \(did you mean 'patch'"),
        (TWO.replace('start = "first"', "start = 1"), "start must be text"),
        (TWO.replace("first = 0.25", "fist = 0.25"), r"fist is no restorer before it \(did you mean 'first'"),
        (TWO.replace("0.25", '"much"'), "the share of first lies in"),
        (TWO.replace("0.25", "0.5"), "must have a sum of 1"),
        (TWO + "steps = 3\n", "a mean has a name and shares"),
        (TWO.replace("patch = 48", 'perceivers = "first"'), "first is no run of perceivers before it"),
        (
            '[[runs]]\nname = "eyes"\nrecipe = "recognizer"\nperceivers = "eyes"\n',
            "only a restorer is guided",
        ),
        (
            '[[runs]]\nname = "eyes"\nrecipe = "recognizer"\n'
            '[[runs]]\nname = "net"\nrecipe = "smoke"\nstart = "eyes"\n',
            "cannot start with eyes, which trains something else",
        ),
    ],
)
def test_a_wrong_series_is_refused_in_one_line(text, match, tmp_path):
    word = written(tmp_path, text)
    with pytest.raises(ConfigError, match=match) as caught:
        read_series(word)
    assert str(caught.value).startswith(word)
    assert "\n" not in str(caught.value)

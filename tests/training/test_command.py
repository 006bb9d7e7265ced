"""`clearair train` from its command line to the files it leaves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from clearair.apps.cli.program import cli
from clearair.errors import ClearAirError, ConfigError, OutputError, TrainingError
from clearair.finishing import FinishedNetwork
from clearair.models import save_model
from clearair.training.recipes import RECIPES
from clearair.training.restorer.recipes import smoke
from clearair.training.series.series import LISTED

TINY = ("--set", "batch=1", "view=64", "patch=32", "warmup=1")


def train(data, out, *arguments):
    """The output of a run; errors are raised."""
    words = ["train", "smoke", *TINY, "--data", data, "--out", out, "--threads", 1, *arguments]
    result = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_the_list_says_in_one_line_what_each_recipe_is():
    output = CliRunner().invoke(cli, ["train", "--list"]).output.splitlines()
    assert [line.split()[0] for line in output] == [*RECIPES, *LISTED]
    assert {"compact", "perceivers", "recognizer"} <= set(RECIPES)
    assert all(len(line.split()) > 3 for line in output)


@pytest.mark.parametrize("words", [["train", "smoke"], ["train"], ["train", "a", "b"]])
def test_what_is_missing_is_said(words):
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_a_misspelt_recipe_or_field_is_answered_with_the_nearest(data, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'patch'"):
        train(data, tmp_path, "pach=3")
    result = CliRunner().invoke(cli, ["train", "compat", "--data", ".", "--out", str(tmp_path)])
    assert isinstance(result.exception, ClearAirError)
    assert "did you mean 'compact'" in str(result.exception)


def test_an_existing_model_is_not_replaced_unasked_and_nothing_is_trained(data, tmp_path):
    save_model(FinishedNetwork(smoke().network), tmp_path / "model")
    with pytest.raises(OutputError, match="overwrite=True"):
        train(data, tmp_path / "run", "--save", tmp_path / "model")
    assert not (tmp_path / "run").exists()
    before = (tmp_path / "model/model.safetensors").read_bytes()
    train(data, tmp_path / "run", "--save", tmp_path / "model", "--overwrite", "--steps", 1, "--views", 0)
    assert (tmp_path / "model/model.safetensors").read_bytes() != before


def test_weights_are_saved_only_if_they_got_better(data, tmp_path):
    short = ("--steps", 1, "--views", 1, "--save", tmp_path / "model", "--save-if-better")
    # A step that learns nothing does not get better than the start.
    output = train(data, tmp_path / "still", "learning_rate=0", *short)
    assert "not saved (mean PSNR" in output
    assert "against the start" in output
    assert not (tmp_path / "model").exists()
    log = (tmp_path / "still/log.jsonl").read_text().splitlines()
    assert json.loads(log[-1]) == {"saved": False, "against": "the start", "gain": 0.0}
    # Anything beats a network that paints noise.
    spoilt = FinishedNetwork(replace(smoke().network))
    spoilt.reconstruction.weight.data.normal_()
    save_model(spoilt, tmp_path / "model")
    output = train(data, tmp_path / "run", *short)
    assert f"against {tmp_path / 'model'})" in output
    assert "| at the start |" in output
    assert json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[-1])["saved"] is True


def test_a_comparison_without_validation_is_refused(data, tmp_path):
    for arguments in (["--views", 0, "--save", tmp_path / "model"], []):
        words = ["train", "smoke", "--data", data, "--out", tmp_path, "--save-if-better", *arguments]
        result = CliRunner().invoke(cli, [str(word) for word in words])
        assert result.exit_code == 2
        assert "--save and some --views" in result.output


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("batch=2", "batch 1 -> 2"),
        ("seed=3", "seed 0 -> 3"),
        ("learning_rate=0.5", "learning_rate 0.0015 -> 0.5"),
        ("mix.single.noise=0.9", "mix.single.noise 0.24 -> 0.9"),
        ("stages=5/2/32/64", r"stages \[\] -> \[\{'start': 5"),
    ],
)
def test_a_run_is_resumed_with_other_settings_only_when_told(data, tmp_path, change, told):
    output = train(data, tmp_path, "--max-minutes", 0, "--views", 0)
    assert "the time is up: step 1 of 60 is saved" in output
    with pytest.raises(TrainingError, match=rf"{told}.*--change"):
        train(data, tmp_path, "--resume", "--views", 0, change)
    if change == "batch=2":
        output = train(data, tmp_path, "--resume", "--change", "--steps", 2, "--views", 0, change)
        assert "step 2 " in output


def test_the_time_that_is_left_is_shown(data, tmp_path):
    output = train(data, tmp_path, "--steps", 2, "--views", 0)
    assert "left 0 s" in output


def test_a_misspelt_recipe_is_named_with_the_nearest_one():
    result = CliRunner().invoke(cli, ["train", "recogniser", "--data", ".", "--out", "y"])
    assert "did you mean 'recognizer'?" in str(result.exception)


def test_the_recognizer_has_no_steps():
    result = CliRunner().invoke(cli, ["train", "recognizer", "--data", ".", "--out", "y", "--steps", "5"])
    assert isinstance(result.exception, ConfigError)
    assert "no field 'steps'" in str(result.exception)
    assert "views" in str(result.exception)


def test_the_recognizer_is_trained_by_the_same_command_and_says_how_to_go_on(data, tmp_path):
    words = ["train", "recognizer", "views=5", "looks=1", "--data", data, "--out", tmp_path / "run"]
    words += ["--max-minutes", "0", "--device", "cpu", "--save", tmp_path / "model"]
    result = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    assert result.exception is None
    assert result.stderr.startswith("train recognizer: loading PyTorch\n")
    assert "run this again to continue" in result.stdout
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("name", ["train", "ablate"])
def test_a_gpu_is_taken_where_there_is_one(name):
    (device,) = [parameter for parameter in cli.commands[name].params if parameter.name == "device"]
    assert device.default == "auto"

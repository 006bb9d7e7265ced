"""A series of runs is trained in order, goes on where it stopped, and makes what ships."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from clearair.apps.cli.program import cli
from clearair.errors import TrainingError, UsageError
from clearair.models import load_model
from clearair.perception import load_compact
from clearair.training.loop.loop import RunOptions
from clearair.training.loop.processes import Processes
from clearair.training.loop.trainer import Machine, Saving, Setup, Validation
from clearair.training.restorer.recipes import smoke
from clearair.training.series.series import Mean, Planned, Series, read_series
from clearair.training.trainer import trainer_for

RECIPE = replace(smoke(), steps=2, decay_steps=0, warmup=1, batch=1, view=64, patch=32)
SERIES = Series(
    (
        Planned("first", RECIPE),
        Planned("second", replace(RECIPE, learning_rate=0.01, seed=5), start="first"),
        Mean("mean", {"first": 0.25, "second": 0.75}),
    )
)
TOY = [
    *("steps=2", "decay_steps=0", "warmup=1", "batch=2", "view=64", "patch=32", "pool=1"),
    *("views=5", "looks=1"),
]
"""Every run of a listed series, so short that it only shows that everything fits together."""


def quiet(data, out, **fields):
    return Setup(data, out, validation=Validation(views=0), report=lambda line: None, **fields)


def test_runs_begin_with_what_earlier_ones_made(data, tmp_path):
    out, model = tmp_path / "out", tmp_path / "model"
    trainer_for(SERIES, quiet(data, out, saving=Saving(model))).train()
    first, second, mean = (load_model(out / name / "model").weights for name in ("first", "second", "mean"))
    for name, value in load_model(model).weights.items():
        expected = 0.25 * first[name].float() + 0.75 * second[name].float()
        torch.testing.assert_close(value.float(), expected, rtol=1e-3, atol=1e-4)
        assert torch.equal(value, mean[name])
    alone = tmp_path / "alone"
    start = RunOptions(start=str(out / "first" / "model"))
    trainer_for(SERIES.runs[1].recipe, quiet(data, alone, options=start, saving=Saving(alone / "m"))).train()
    again = load_model(alone / "m").weights
    assert all(torch.equal(again[name], value) for name, value in second.items())


def test_a_series_goes_on_where_its_time_was_up(data, tmp_path):
    stopped = quiet(data, tmp_path, options=RunOptions(max_minutes=1e-6))
    trainer = trainer_for(SERIES, stopped)
    assert not trainer.has_begun
    trainer.train()
    assert trainer.has_begun
    assert trainer.standing == f"{tmp_path}: 0 of 3 runs are done"
    with pytest.raises(TrainingError, match="holds a series already"):
        trainer_for(SERIES, quiet(data, tmp_path))
    trainer = trainer_for(SERIES, quiet(data, tmp_path, options=RunOptions(resume=True)))
    trainer.train()
    assert trainer.standing == f"{tmp_path}: 3 of 3 runs are done"
    written = (tmp_path / "first" / "model" / "model.safetensors").stat().st_mtime_ns
    trainer.train()
    assert (tmp_path / "first" / "model" / "model.safetensors").stat().st_mtime_ns == written


def test_a_run_that_was_killed_while_it_saved_is_not_done(data, tmp_path):
    trainer_for(SERIES, quiet(data, tmp_path)).train()
    whole = (tmp_path / "mean" / "model" / "model.safetensors").read_bytes()
    (tmp_path / "mean" / "model" / "config.json").unlink()
    (tmp_path / "second" / "model" / "model.safetensors").unlink()
    trainer = trainer_for(SERIES, quiet(data, tmp_path, options=RunOptions(resume=True)))
    assert trainer.standing == f"{tmp_path}: 1 of 3 runs are done"
    trainer.train()
    assert trainer.standing == f"{tmp_path}: 3 of 3 runs are done"
    assert (tmp_path / "mean" / "model" / "model.safetensors").read_bytes() == whole


@pytest.mark.parametrize(
    "fields",
    [
        {"options": RunOptions(start="compact")},
        {"options": RunOptions(anneal_minutes=1)},
        {"saving": Saving(if_better=True)},
        {"machine": Machine(processes=Processes(0, 2))},
    ],
)
def test_what_a_series_says_itself_is_refused(fields, data, tmp_path):
    with pytest.raises(UsageError, match="A series"):
        trainer_for(SERIES, quiet(data, tmp_path, **fields))


def test_a_mean_needs_equal_networks(data, tmp_path):
    wide = replace(RECIPE, network=replace(RECIPE.network, prompts=5))
    series = Series((SERIES.runs[0], Planned("wide", wide), Mean("mean", {"first": 0.5, "wide": 0.5})))
    with pytest.raises(TrainingError, match="first and wide are models of different networks"):
        trainer_for(series, quiet(data, tmp_path)).train()


def test_what_ships_is_made_by_one_command(data, tmp_path):
    out, model = tmp_path / "out", tmp_path / "model"
    command = ["train", "shipped", *TOY, "--data", str(data), "--out", str(out), "--views", "0"]
    result = CliRunner().invoke(cli, [*command, "--save", str(model)])
    assert result.exit_code == 0, result.output
    for run in read_series("shipped").runs:
        assert f": {run.name}" in result.output
    eyes = load_compact(out / "recognizer" / "model")
    assert load_model(model).perceivers.fingerprint == eyes.identity.fingerprint
    assert load_model(model).network == load_model("compact").network


def test_the_command_lists_and_shows_series(tmp_path):
    runner = CliRunner()
    assert "shipped" in runner.invoke(cli, ["train", "--list"]).output
    shown = runner.invoke(cli, ["train", "shipped", "--show"])
    path = tmp_path / "own.toml"
    path.write_text(shown.output)
    assert read_series(str(path)) == read_series("shipped")
    assert runner.invoke(cli, ["train", "shipped", "--show", "steps=2"]).exit_code == 2

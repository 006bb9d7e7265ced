"""One trainer for every recipe: what it refuses, what it says, and how far its run is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clearair.errors import OutputError, UsageError
from clearair.models import save_model
from clearair.network import ClearAIR
from clearair.training.loop.loop import RunOptions
from clearair.training.loop.processes import Processes
from clearair.training.loop.trainer import Machine, Saving, Setup, Validation
from clearair.training.perceivers.recipes import perceivers, recognizer
from clearair.training.restorer.recipes import smoke
from clearair.training.trainer import trainer_for


@pytest.fixture
def recipe():
    return replace(smoke(), steps=3, decay_steps=0, warmup=1, batch=1, view=64, patch=32)


def test_a_run_says_what_it_does_and_how_far_it_is(recipe, data, tmp_path):
    results: list[str] = []
    notices: list[str] = []
    setup = Setup(
        data, tmp_path, validation=Validation(views=0), report=results.append, notice=notices.append
    )
    trainer = trainer_for(recipe, setup)
    assert not trainer.has_begun
    assert "nothing is saved yet" in trainer.standing
    trainer.train()
    assert trainer.has_begun
    assert trainer.standing == f"{tmp_path}: step 3 of 3 is saved"
    assert notices[:2] == ["reading the training data", "training: step 1 of 3"]
    assert notices[2].startswith("step 1 is done after ")
    assert [line for line in results if line.startswith("step 3 ")]


def test_a_run_goes_on_where_it_was_stopped(recipe, data, tmp_path):
    quiet = Setup(data, tmp_path, validation=Validation(views=0), report=lambda line: None)
    first = replace(quiet, options=RunOptions(max_minutes=0))
    trainer_for(recipe, first).train()
    again = trainer_for(recipe, replace(quiet, options=RunOptions(resume=True)))
    assert again.standing.endswith("step 1 of 3 is saved")
    again.train()
    assert again.standing.endswith("step 3 of 3 is saved")


def test_a_model_is_not_replaced_unasked(recipe, data, tmp_path):
    save_model(ClearAIR(smoke().network), tmp_path / "model")
    setup = Setup(data, tmp_path / "run", saving=Saving(tmp_path / "model"))
    for made in (recipe, perceivers(), recognizer()):
        with pytest.raises(OutputError, match="overwrite=True"):
            trainer_for(made, setup)


def test_a_resumed_run_replaces_its_own_model_but_no_changed_one(recipe, data, tmp_path):
    model = tmp_path / "model"
    first = Setup(
        data,
        tmp_path / "run",
        options=RunOptions(max_minutes=0),
        validation=Validation(views=0),
        saving=Saving(model),
        report=lambda line: None,
    )
    resumed = replace(first, options=RunOptions(resume=True))
    trainer_for(recipe, first).train()
    before = (model / "model.safetensors").read_bytes()
    trainer_for(recipe, resumed).train()
    assert (model / "model.safetensors").read_bytes() != before
    with pytest.raises(OutputError, match="holds a model already"):
        trainer_for(recipe, replace(first, out=tmp_path / "another"))
    with pytest.raises(OutputError, match="holds a model already"):
        trainer_for(recipe, replace(resumed, out=tmp_path / "another"))
    (model / "model.safetensors").write_bytes(before)
    with pytest.raises(OutputError, match="holds a model already"):
        trainer_for(recipe, resumed)


@pytest.mark.parametrize("made", [perceivers(), recognizer()])
def test_perceivers_are_not_compared_and_one_process_trains_them(made, data, tmp_path):
    with pytest.raises(UsageError, match="compares restorers"):
        trainer_for(made, Setup(data, tmp_path, saving=Saving(tmp_path / "model", if_better=True)))
    with pytest.raises(UsageError, match="by one process"):
        trainer_for(made, Setup(data, tmp_path, machine=Machine(processes=Processes(0, 2))))

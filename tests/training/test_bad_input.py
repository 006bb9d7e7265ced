"""What a data folder, a disk or another run can do to a training: one clear line, and nothing lost."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
import pytest
import pyvips
import torch
from click.testing import CliRunner
from matrix import MatrixTask, Plan
from torch import nn

from clearair import Restorer
from clearair.apps.cli.program import cli
from clearair.errors import ClearAirError, DataError, ModelError, TrainingError
from clearair.training.loop.checkpoint import Checkpoint, check_room, load_checkpoint, save_checkpoint
from clearair.training.loop.loop import run
from clearair.training.loop.resume import LATEST, STABLE

TINY = ("--set", "batch=1", "patch=32", "view=32", "warmup=1")


def train(data: Path, out: Path, *arguments: object) -> str:
    """The output of a run of two steps; errors are raised."""
    words = ["train", "smoke", *TINY, "--data", data, "--out", out, "--threads", 1, "--views", 0]
    words += ["--steps", 2, *arguments]
    result = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def refused(data: Path, out: Path, *arguments: object, code: int = 1) -> str:
    """The one line that a run ends with, with this exit code."""
    with pytest.raises(ClearAirError) as error:
        train(data, out, *arguments)
    assert error.value.exit_code == code
    assert "\n" not in str(error.value)
    return str(error.value)


def write(path: Path, side: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 255, (side, side, 3), np.uint8)
    pyvips.Image.new_from_array(pixels).write_to_file(str(path))


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """130 pictures, of which 7 are held out."""
    for index in range(130):
        write(tmp_path / "data/train/clean" / f"{index:03}.png")
    return tmp_path / "data"


def test_a_corrupt_picture_is_named_left_out_and_counted(many, tmp_path):
    (many / "train/clean/051.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    output = train(many, tmp_path / "run")
    assert "051.png" in output
    assert "1 of 123 pictures cannot be read and are left out." in output
    assert load_checkpoint(tmp_path / "run" / LATEST).step == 2


def test_more_than_one_corrupt_picture_in_a_hundred_stops(many, tmp_path):
    for index in (51, 52):
        (many / f"train/clean/0{index}.png").write_bytes(b"broken")
    line = refused(many, tmp_path / "run")
    assert "2 of 123 pictures cannot be read, more than 1%" in line
    assert "051.png" in line
    assert not (tmp_path / "run").exists()


def test_pairs_that_are_not_equal_are_named(many, tmp_path):
    for index in range(4):
        write(many / f"train/rain/set/input/{index}.png")
        write(many / f"train/rain/set/target/{index}.png", side=16 if index != 2 else 20)
    line = refused(many, tmp_path / "run")
    assert "input/2.png" in line
    assert "16 x 16 and 20 x 20 px" in line
    (many / "train/rain/set/target/2.png").unlink()
    assert "input/2.png: needs exactly one picture" in refused(many, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_data_that_are_not_there_are_named_and_a_run_is_kept(many, tmp_path):
    assert "nowhere: there is no such data folder" in refused(tmp_path / "nowhere", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    train(many, tmp_path / "run")
    before = (tmp_path / "run" / LATEST).read_bytes()
    refused(tmp_path / "nowhere", tmp_path / "run", "--resume", "--steps", 4)
    assert (tmp_path / "run" / LATEST).read_bytes() == before


def test_a_checkpoint_of_another_recipe_is_refused_and_kept(many, tmp_path):
    train(many, tmp_path / "run")
    before = (tmp_path / "run" / LATEST).read_bytes()
    line = refused(many, tmp_path / "run", "--resume", "--set", "learning_rate=1e-4")
    assert "other settings (learning_rate 0.0015 -> 0.0001); --change" in line
    assert "another network" in refused(many, tmp_path / "run", "--resume", "network.prompts=5")
    assert (tmp_path / "run" / LATEST).read_bytes() == before


def test_a_start_of_another_network_is_told_in_one_short_line(many, tmp_path):
    train(many, tmp_path / "run")
    start = ("--start", tmp_path / "run" / LATEST)
    line = refused(many, tmp_path / "other", *start, "network.channels=16,16", code=3)
    assert "another network" in line
    assert "tensors differ, the first is" in line
    assert len(line) < 200


def test_folders_that_cannot_be_made_are_refused_before_anything_is_read(many, tmp_path):
    (tmp_path / "file").touch()
    told = "the folder cannot be made"
    assert told in refused(tmp_path / "data", tmp_path / "file" / "run")
    assert told in refused(many, tmp_path / "run", "--save", tmp_path / "file" / "model")
    assert not (tmp_path / "run").exists()


def test_a_run_whose_last_checkpoint_is_gone_does_not_begin_again(many, tmp_path):
    train(many, tmp_path / "run")
    (tmp_path / "run" / LATEST).rename(tmp_path / "run" / STABLE)
    assert f"{LATEST} is missing" in refused(many, tmp_path / "run", "--resume")


def test_a_damaged_line_of_the_log_is_named_before_training(many, tmp_path):
    train(many, tmp_path / "run")
    log = tmp_path / "run" / "log.jsonl"
    log.write_text(log.read_text() + "{bad\n")
    lines = len(log.read_text().splitlines())
    before = (tmp_path / "run" / LATEST).read_bytes()
    assert f"line {lines} is damaged" in refused(many, tmp_path / "run", "--resume", "--steps", 4)
    assert (tmp_path / "run" / LATEST).read_bytes() == before


def test_a_checkpoint_is_not_taken_for_the_model_of_another_project(many, tmp_path):
    train(many, tmp_path / "run")
    with pytest.raises(ModelError, match="resume its run with --save FOLDER"):
        Restorer.from_pretrained(tmp_path / "run" / LATEST)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--max-minutes", "nan"], "nan and inf"),
        (["--max-minutes", "1", "--anneal-minutes", "2"], "cannot be longer"),
        (["--worth"], "needs some --views"),
    ],
)
def test_options_that_make_no_sense_are_refused(many, tmp_path, options, said):
    with pytest.raises(click.UsageError, match=said):
        train(many, tmp_path / "run", *options)


def test_a_recognizer_does_not_begin_in_the_folder_of_another_run(many, tmp_path):
    train(many, tmp_path / "run")
    words = ["train", "recognizer", "--data", many, "--out", tmp_path / "run", "--resume"]
    result = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    assert "another recipe" in str(result.exception)


def test_what_the_machine_or_a_recipe_has_not_is_a_wrong_use(many, tmp_path):
    wrong = [("--device", "gpu"), ("learning_rate=-1",), ("learning_rate=nan",), ("mix.single.noise=-1",)]
    wrong += [("seed=-1",), (f"seed={10**24}",)]
    wrong += [] if torch.cuda.is_available() else [("--device", "cuda")]
    for arguments in wrong:
        with pytest.raises(ClearAirError) as error:
            train(many, tmp_path / "run", *arguments)
        assert error.value.exit_code == 2
        assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_resumed_before_there_is_one_says_that_it_begins(many, tmp_path):
    assert "holds no run yet, so it begins here" in train(many, tmp_path / "run", "--resume")
    assert "no run yet" not in train(many, tmp_path / "run", "--resume", "--steps", 3)


def test_a_set_that_is_not_there_is_in_the_log(many, tmp_path):
    assert "GoPro-train is not in" in train(many, tmp_path / "run", "sets=GoPro-train")
    first = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])
    assert "GoPro-train is not in" in first["data"][0]


class Spoiling(MatrixTask):
    """Learns from what can no longer be read at step 7."""

    def draw(self, step: int, generator: torch.Generator) -> torch.Tensor:
        if step == 7:
            raise DataError("2 of 130 pairs cannot be read.")
        return super().draw(step, generator)


def test_data_that_fail_in_the_middle_of_a_run_cost_none_of_its_steps(tmp_path):
    with pytest.raises(DataError, match="2 of 130"):
        run(Spoiling(), tmp_path, report=lambda line: None)
    assert load_checkpoint(tmp_path / LATEST).step == 7
    whole = run(MatrixTask(), tmp_path / "whole", report=lambda line: None)
    mended = run(MatrixTask(), tmp_path, resume=True, report=lambda line: None)
    assert torch.equal(whole.weight, mended.weight)


@contextmanager
def smallest_files(size: int) -> Iterator[None]:
    """No file can be written beyond so many bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_keeps_the_checkpoint_of_before(tmp_path):
    plan = Plan(decay_steps=0, matrix={"side": 100})
    run(MatrixTask(plan), tmp_path, max_minutes=0, report=lambda line: None)
    before = (tmp_path / LATEST).read_bytes()
    with smallest_files(50_000), pytest.raises(TrainingError, match=f"{LATEST}: cannot be written") as error:
        run(MatrixTask(plan), tmp_path, resume=True, report=lambda line: None)
    assert error.value.exit_code == 1
    assert "\n" not in str(error.value)
    assert (tmp_path / LATEST).read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))
    run(MatrixTask(plan), tmp_path, resume=True, report=lambda line: None)
    assert load_checkpoint(tmp_path / LATEST).step == plan.steps


def test_too_little_room_is_said_before_anything_is_trained_or_written(tmp_path):
    with pytest.raises(TrainingError, match=r"room for 320,003,200.0 MB of checkpoints, but only"):
        check_room(nn.Linear(100_000, 100_000_000, device="meta"), tmp_path / "new" / "run")
    huge = Checkpoint(1, {}, {"network.weight": torch.zeros(1).expand(10**15)}, 0.0)
    with pytest.raises(TrainingError, match="must be room"):
        save_checkpoint(huge, tmp_path / LATEST)
    assert not list(tmp_path.iterdir())


def test_a_log_whose_last_line_was_broken_off_is_mended(tmp_path):
    run(MatrixTask(), tmp_path, max_minutes=0, interval=1, report=lambda line: None)
    whole = (tmp_path / "log.jsonl").read_text()
    (tmp_path / "log.jsonl").write_text(whole + '{"step": 2, "lo')
    run(MatrixTask(), tmp_path, resume=True, interval=1, report=lambda line: None)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [line[:10] for line in lines] == [f'{{"step": {step}'[:10] for step in range(1, 13)]

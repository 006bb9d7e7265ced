"""`clearair plot`, on the folder that a followed run leaves."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import torch
from click.testing import CliRunner

from clearair.apps.cli.program import cli
from clearair.data.validation import ValidationSet
from clearair.errors import OutputError, TrainingError, UsageError
from clearair.evaluation.held_out import HeldOutViews
from clearair.training.loop.curves import Curves, read_curves
from clearair.training.restorer.samples import save_samples

pytest.importorskip("matplotlib")

RED = (255, 0, 0)


@pytest.fixture
def run(tmp_path):
    """A run of two kinds whose samples of now are all red."""
    lines = [{"step": step, "seconds": 60 * step, "loss": 1 / step, "psnr": 20 + step} for step in (1, 2, 3)]
    for step, of in ((0, "start"), (3, "end")):
        scores = dict.fromkeys(("mean", "noise", "haze"), 20.0 + step)
        before = dict.fromkeys(scores, 19.0)
        lines.append({"step": step, "seconds": 60 * step, "of": of, "validation": scores, "input": before})
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def add_samples(run):
    grey = torch.full((1, 3, 128, 128), 0.5)
    sets = [ValidationSet(kind, grey, grey, ("a",)) for kind in ("noise", "haze")]
    now = torch.tensor(RED, dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 128, 128)
    save_samples(run, HeldOutViews(None, sets), None, now)


def plot(*arguments):
    result = CliRunner().invoke(cli, ["plot", *map(str, arguments)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def share_of_red(file):
    return (np.asarray(PIL.Image.open(io.BytesIO(file.read_bytes())).convert("RGB")) == RED).all(2).mean()


def test_the_curves_are_those_of_the_log(run):
    curves = read_curves(run)
    assert [record["step"] for record in curves.training] == [1, 2, 3]
    assert [record["of"] for record in curves.validation] == ["start", "end"]
    assert curves.kinds == ("mean", "noise", "haze")


def test_steps_that_were_trained_again_count_once():
    records = [
        {"step": 10, "loss": 1.0},
        {"step": 10, "seconds": 1, "of": "run", "validation": {"noise": 20.0}},
    ]
    records += [
        {"step": 20, "loss": 0.9},
        {"step": 20, "seconds": 2, "of": "run", "validation": {"noise": 21.0}},
    ]
    records += [{"step": 15, "loss": 0.8}, {"step": 20, "loss": 0.7}]
    curves = Curves.of(records)
    assert [(each["step"], each["loss"]) for each in curves.training] == [(10, 1.0), (15, 0.8), (20, 0.7)]
    assert [each["step"] for each in curves.validation] == [10]


def test_a_run_is_drawn_into_its_folder_with_its_samples_when_there_are_any(run):
    assert "plot.png" in plot(run)
    assert share_of_red(run / "plot.png") < 0.001
    add_samples(run)
    plot(run)  # a picture of before is replaced
    assert share_of_red(run / "plot.png") > 0.01


def test_a_named_file_has_the_type_of_its_suffix_and_is_not_replaced_unasked(run):
    plot(run, "-o", run / "curves.svg")
    assert b"<svg" in (run / "curves.svg").read_bytes()
    with pytest.raises(OutputError, match="overwrite=True"):
        plot(run, "-o", run / "curves.svg")
    plot(run, "-o", run / "curves.svg", "--overwrite")
    with pytest.raises(UsageError, match=r"\.png"):
        plot(run, "-o", run / "curves.docx")


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"log\.jsonl"):
        plot(tmp_path)
    (tmp_path / "log.jsonl").write_text("{")
    with pytest.raises(TrainingError, match=r"log\.jsonl"):
        plot(tmp_path)


def test_without_matplotlib_one_line_says_what_to_install(run):
    code = "import sys; sys.modules['matplotlib'] = None; from clearair.apps.cli import main; main()"
    process = subprocess.run([sys.executable, "-c", code, "plot", str(run)], capture_output=True, text=True)
    assert process.returncode == 2
    assert process.stderr == "clearair: Plots need matplotlib: pip install 'clearair[plot]'\n"

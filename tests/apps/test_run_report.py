import base64
import json

import pytest
import torch
from click.testing import CliRunner

from clearair.apps.cli.program import cli
from clearair.apps.plot import draw_run
from clearair.apps.run_report import training_section, training_table
from clearair.data.validation import ValidationSet
from clearair.errors import TrainingError
from clearair.evaluation.held_out import HeldOutViews
from clearair.training.restorer.samples import save_samples


@pytest.fixture
def run(tmp_path):
    """The folder of a run of three logged steps, validated twice, with samples."""
    folder = tmp_path / "a & b"
    folder.mkdir()
    lines = [{"step": step, "seconds": step, "loss": 1 / step, "psnr": 20.0 + step} for step in (1, 2, 3)]
    for step in (0, 3):
        scores = {"mean": 20.0 + step, "haze": 19.5 + step, "clean": 90.0}
        lines.append({"step": step, "seconds": step, "of": "run", "validation": scores, "input": scores})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    grey = torch.full((1, 3, 128, 128), 0.5)
    sets = [ValidationSet(kind, grey, grey, ("a",)) for kind in ("haze", "clean")]
    save_samples(folder, HeldOutViews(None, sets), None, torch.zeros(2, 3, 128, 128, dtype=torch.uint8))
    return folder


def test_a_run_has_its_drawing_in_the_page(run):
    pytest.importorskip("matplotlib")
    section = training_section(run)
    assert section.count("<img") == 1
    assert "a &amp; b" in section
    drawing = base64.b64decode(section.partition("base64,")[2].partition('"')[0])
    assert drawing == draw_run(run)


def test_the_table_of_a_run_has_a_row_for_each_validation(run):
    assert training_table(run).splitlines()[-2:] == [
        "| 0 | 20.00 | 19.50 | 90.00 |",
        "| 3 | 23.00 | 22.50 | 90.00 |",
    ]


def report(*arguments):
    result = CliRunner().invoke(cli, ["report", *map(str, arguments)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_the_command_puts_curves_into_the_report(run, tmp_path):
    pytest.importorskip("matplotlib")
    report("--training", run, "-o", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count("<img") == 1
    report("--training", run, "-o", tmp_path / "page.md")
    assert "| 22.50 |" in (tmp_path / "page.md").read_text()


def test_a_folder_that_is_no_run_is_named_and_an_empty_report_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"log\.jsonl"):
        report("--training", tmp_path, "-o", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
    assert CliRunner().invoke(cli, ["report", "-o", str(tmp_path / "page.md")]).exit_code == 2

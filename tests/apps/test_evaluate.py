"""`clearair evaluate` on a small data folder, with a small model in a folder."""

import json
from dataclasses import replace

import pytest
import skimage.data
import torch
from click.testing import CliRunner

from clearair.apps.cli import cli
from clearair.image import Photo, write_photo
from clearair.models import save_model
from clearair.network import TINY, ClearAIR

SMALL = replace(TINY, quality_dim=32, content_dim=64, degradation_dim=64, region_count=16)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for index in range(2):
        path = root / "train" / "clean" / "here" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_photo(Photo(skimage.data.chelsea()[:256, :256]), path)
    return root


@pytest.fixture(scope="module")
def evaluate(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    save_model(ClearAIR(SMALL), folder)

    def evaluate(*arguments):
        return CliRunner().invoke(cli, ["evaluate", str(folder), "--data", str(data), *map(str, arguments)])

    return evaluate


def test_shuffle_prints_a_table_and_writes_json(evaluate, tmp_path):
    file = tmp_path / "worth.json"
    done = evaluate("--shuffle", "how", "--benchmark", "noise", "--every", 12, "--json", file)
    assert done.exit_code == 0, done.output
    assert "| how | noise |" in done.output
    assert {worth["kind"] for worth in json.loads(file.read_text())["shuffle"]} == {"all", "noise"}


def test_harm_prints_undamaged_and_damaged_pictures(evaluate):
    done = evaluate("--harm", "--benchmark", "jpeg", "--every", 12)
    assert done.exit_code == 0, done.output
    assert "| held out | 1 |" in done.output
    assert "| jpeg | 1 |" in done.output


def test_shuffle_and_harm_are_asked_for_one_at_a_time(evaluate):
    done = evaluate("--harm", "--shuffle", "how")
    assert done.exit_code == 2
    assert "ask for one" in done.output


def test_two_folders_are_measured_saved_and_reported(evaluate, tmp_path):
    for side in ("low", "high"):
        path = tmp_path / side / "a.png"
        path.parent.mkdir()
        write_photo(Photo(skimage.data.chelsea()[:96, :200]), path)
    run, sheet, saved = tmp_path / "run.json", tmp_path / "run.csv", tmp_path / "saved"
    arguments = ["--pairs", tmp_path / "low", tmp_path / "high", "--metrics", "psnr,psnr-y,niqe"]
    done = evaluate(*arguments, "--json", run, "--csv", sheet, "--save-images", saved, "--crop", "16")
    assert done.exit_code == 0, done.output
    written = json.loads(run.read_text())
    (result,) = written["results"]
    assert result["protocol"] == {"multiple": 16, "noise_seed": 0, "rounded": True}
    assert {"psnr", "psnr-y", "niqe-own", "manifest"} <= set(result)
    assert "niqe" not in result
    assert len(written["weights"]) == 64
    assert sheet.read_text().startswith("benchmark,image,input_psnr,psnr,")
    assert (tmp_path / result["scores"][0]["saved"]["restored"]).is_file()
    page = tmp_path / "report.html"
    assert CliRunner().invoke(cli, ["report", str(run), "-o", str(page)]).exit_code == 0
    assert page.read_text().count("data:image/png;base64") == 3
    again = evaluate(*arguments, "--json", run)
    assert "exists already" in str(again.exception)

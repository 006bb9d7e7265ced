"""`clearair evaluate` on a small data folder, with a small model in a folder."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
import torch
from click.testing import CliRunner

from clearair import Restorer
from clearair.apps.cli import cli
from clearair.errors import ClearAirError, ModelError, OutputError
from clearair.evaluation import Evaluator
from clearair.evaluation.pictures import PictureSaver
from clearair.finishing import FinishedNetwork
from clearair.image import Photo, write_photo
from clearair.models import save_model
from clearair.network import TINY

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
    save_model(FinishedNetwork(SMALL), folder)

    def evaluate(*arguments):
        return CliRunner().invoke(cli, ["evaluate", str(folder), "--data", str(data), *map(str, arguments)])

    return evaluate


def test_shuffle_prints_a_table_and_writes_json(evaluate, tmp_path):
    file = tmp_path / "shuffle.json"
    done = evaluate("--shuffle", "how", "--benchmark", "noise", "--every", 12, "--json", file)
    assert done.exit_code == 0, done.output
    assert "| how | noise |" in done.output
    assert {each["kind"] for each in json.loads(file.read_text())["shuffle"]} == {"all", "noise"}


def test_harm_prints_undamaged_and_damaged_pictures(evaluate):
    done = evaluate("--harm", "--benchmark", "jpeg", "--every", 12)
    assert done.exit_code == 0, done.output
    assert "| held out | 1 |" in done.output
    assert "| jpeg | 1 |" in done.output


def test_shuffle_and_harm_are_asked_for_one_at_a_time(evaluate):
    done = evaluate("--harm", "--shuffle", "how")
    assert done.exit_code == 2
    assert "choose one" in done.output


def test_what_the_model_is_told_counts_for_every_image_and_is_written_down(evaluate, tmp_path):
    file = tmp_path / "told.json"
    done = evaluate("--harm", "--benchmark", "jpeg", "--every", 12, "--damage", "none", "--json", file)
    assert done.exit_code == 0, done.output
    told = json.loads(file.read_text())
    assert told["damage"] == "none"
    assert told["harm"]["worst"] == 100  # declared clean, so nothing changes
    assert all(change["psnr"] == change["input_psnr"] for change in told["harm"]["changes"])


def test_a_misspelt_kind_of_damage_is_refused_before_anything_is_measured(evaluate):
    done = evaluate("--harm", "--damage", "hase")
    assert done.exit_code != 0
    assert "'haze'" in str(done.exception)


def test_what_is_perceived_is_measured_only_where_it_counts(evaluate):
    done = evaluate("--shuffle", "how", "--damage", "haze")
    assert done.exit_code == 2
    assert "choose one" in done.output


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
    assert (written["device"], written["precision"]) == ("cpu", Restorer.from_pretrained().runtime.precision)
    assert sheet.read_text().startswith("benchmark,image,input_psnr,psnr,")
    assert (tmp_path / result["scores"][0]["saved"]["restored"]).is_file()
    page = tmp_path / "report.html"
    assert CliRunner().invoke(cli, ["report", str(run), "-o", str(page)]).exit_code == 0
    assert page.read_text().count("data:image/png;base64") == 3
    again = evaluate(*arguments, "--json", run)
    assert "exists already" in str(again.exception)


@pytest.fixture
def never_loaded(tmp_path):
    """A model that is there, but cannot be loaded."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "config.json").write_text("{")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--benchmark", "Rain10L"], 2, "There is no benchmark 'Rain10L'"),
        (["--benchmark", "GoPro"], 1, "GoPro is neither here nor"),
        (["--harm", "--benchmark", "hase"], 2, "There is no set 'hase'"),
        (["--harm", "--csv", "run.csv"], 2, "--csv is for benchmarks"),
        (["--shuffle", "how", "--crop", "1"], 2, "--crop is for benchmarks"),
        (["--metrics", ","], 2, "names no metric"),
        (["--shuffle", "when", "--benchmark", "noise"], 2, "There is no percept 'when'"),
        (["--damage", "hase"], 2, "There is no damage 'hase'; did you mean 'haze'?"),
        (["--metrics", "psnt"], 2, "There is no metric 'psnt'"),
        (["--json", "missing/run.json"], 1, "missing/run.json: cannot be written"),
        (["--csv", "file/run.csv"], 1, "file is a file, not a folder"),
        (["--save-images", "file/saved"], 1, "file is a file, not a folder"),
        (["--json", "a", "--csv", "a"], 2, "name the same file"),
        (["--data", "missing"], 1, "missing: there is no such data folder."),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_model_is_loaded(
    never_loaded, tmp_path, monkeypatch, arguments, code, said
):
    data = rainy(tmp_path / "data")
    photo = data / "train" / "clean" / "a" / "0.png"
    photo.parent.mkdir(parents=True)
    write_photo(Photo(skimage.data.chelsea()[:256, :256]), photo)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    words = ["evaluate", str(never_loaded), "--data", "data", *arguments]
    done = CliRunner().invoke(cli, words)
    error = done.exception
    assert said in (str(error) if isinstance(error, ClearAirError) else done.output)
    assert (error.exit_code if isinstance(error, ClearAirError) else done.exit_code) == code


def test_a_model_that_is_not_there_is_refused_before_the_pictures_are_searched(tmp_path):
    done = CliRunner().invoke(cli, ["evaluate", "no-such", "--data", str(tmp_path / "missing")])
    assert isinstance(done.exception, ModelError)


def rainy(root, count=3, side=96):
    """A data folder with as many pairs of Rain100L, named by number."""
    for half in ("input", "target"):
        for index in range(count):
            path = root / "test" / "Rain100L" / half / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_photo(Photo(skimage.data.chelsea()[:side, index : side + index]), path)
    return root


def truncate(path):
    path.write_bytes(path.read_bytes()[:200])


def run(model, *arguments, **options):
    """The program in a process of its own."""
    code = "from clearair.apps.cli import main; main()"
    command = [sys.executable, "-c", code, "evaluate", str(model), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, **options)


def test_a_pair_that_cannot_be_measured_is_named_skipped_and_counted(model, tmp_path):
    data, file, sheet = rainy(tmp_path / "data", 4), tmp_path / "run.json", tmp_path / "run.csv"
    rain = data / "test" / "Rain100L"
    truncate(rain / "input" / "1.png")
    write_photo(Photo(np.zeros((90, 80, 3), np.uint8)), rain / "target" / "2.png", overwrite=True)
    arguments = ["--data", data, "--benchmark", "Rain100L", "--benchmark", "clean to itself"]
    process = run(model, *arguments, "--json", file, "--csv", sheet, stderr=subprocess.PIPE)
    table, errors = (text.decode() for text in process.communicate(timeout=300))
    assert process.returncode == 1
    first, second = errors.splitlines()
    assert first.startswith(f"clearair: Rain100L: 1 is skipped: {rain / 'input' / '1.png'}: ")
    assert second.startswith(
        f"clearair: Rain100L: 2 is skipped: {rain / 'input' / '2.png'}: 96 x 96 px, but "
    )
    assert "| Rain100L | 2 of 4 |" in table
    assert "| clean to itself | 4 |" in table
    written = json.loads(file.read_text())
    assert written["complete"] is False
    rained, clean = written["results"]
    assert (rained["complete"], rained["images"], rained["asked_images"]) == (False, 2, 4)
    assert rained["skipped_images"] == 2
    assert [each["name"] for each in rained["skipped"]] == ["1", "2"]
    assert "1.png" in rained["skipped"][0]["error"]
    assert [score["name"] for score in rained["scores"]] == ["0", "3"]
    assert (clean["complete"], clean["images"], clean["skipped"]) == (True, 4, [])
    rows = list(csv.DictReader(sheet.read_text().splitlines()))
    assert [row["image"] for row in rows if row["benchmark"] == "Rain100L"] == ["0", "3"]
    page = tmp_path / "report.md"
    assert CliRunner().invoke(cli, ["report", str(file), "-o", str(page)]).exit_code == 0
    assert page.read_text().count("2 of 100 images)") >= 2  # PSNR and SSIM
    assert "on Rain100L: 2 of 4 images, 2 skipped, " in page.read_text()


def test_all_that_was_asked_for_is_complete(model, tmp_path):
    data, file = rainy(tmp_path / "data"), tmp_path / "run.json"
    arguments = ["--data", data, "--benchmark", "Rain100L", "--every", 2, "--json", file]
    done = CliRunner().invoke(cli, ["evaluate", str(model), *map(str, arguments)])
    assert done.exit_code == 0, done.output
    assert "| Rain100L | 2 |" in done.output
    written = json.loads(file.read_text())
    assert written["complete"] is True
    assert (written["results"][0]["images"], written["results"][0]["asked_images"]) == (2, 2)


def test_saved_pictures_are_not_replaced_unasked(never_loaded, tmp_path):
    data, saved = rainy(tmp_path / "data"), tmp_path / "saved"
    (saved / "Rain100L").mkdir(parents=True)
    (saved / "Rain100L" / "1.png").write_bytes(b"mine")
    words = ["evaluate", never_loaded, "--data", data, "--benchmark", "Rain100L", "--save-images", saved]
    done = CliRunner().invoke(cli, list(map(str, words)))
    assert str(done.exception).startswith(f"{saved / 'Rain100L' / '1.png'}: exists already")
    assert (saved / "Rain100L" / "1.png").read_bytes() == b"mine"


def test_what_cannot_be_written_ends_the_run_but_takes_no_result_with_it(tmp_path):
    data, saved = rainy(tmp_path / "data"), tmp_path / "saved"
    evaluator = Evaluator(data, ["Rain100L"], pictures=PictureSaver(saved))

    def restore(image):
        (saved / "Rain100L").mkdir(parents=True, exist_ok=True)
        (saved / "Rain100L" / "1.png").write_bytes(b"mine")
        return image

    results = evaluator.measure(restore)
    assert [score.name for score in next(results).scores] == ["0", "1"]
    with pytest.raises(OutputError, match="exists already"):
        next(results)
    assert (saved / "Rain100L" / "1.png").read_bytes() == b"mine"


@pytest.mark.skipif(sys.platform == "win32", reason="sends a Unix signal")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_keeps_what_was_measured(model, tmp_path, number, code):
    data, file, sheet = rainy(tmp_path / "data", 100, 192), tmp_path / "run.json", tmp_path / "run.csv"
    saved = tmp_path / "saved"
    arguments = ["--data", data, "--benchmark", "Rain100L", "--benchmark", "clean to itself"]
    process = run(
        model,
        *arguments,
        *("--json", file, "--csv", sheet, "--save-images", saved),
        stderr=subprocess.PIPE,
        # What is run in the background by a shell ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not (saved / "Rain100L" / "1.png").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    table, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in errors
    written = json.loads(file.read_text())
    assert written["complete"] is False
    (result,) = written["results"]
    assert result["complete"] is False
    assert result["asked_images"] == 100
    assert 2 <= result["images"] < 100
    assert result["skipped_images"] == 0
    assert f"| Rain100L | {result['images']} of 100 |" in table.decode()
    assert sheet.read_text().count("\n") == 1 + result["images"]
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs terminals")
def test_a_terminal_shows_how_many_images_there_are_and_the_time_left(model, tmp_path):
    data = rainy(tmp_path / "data")
    truncate(data / "test" / "Rain100L" / "input" / "1.png")
    ours, terminal = os.openpty()
    process = run(model, "--data", data, "--benchmark", "Rain100L", stderr=terminal)
    process.communicate(timeout=300)
    os.close(terminal)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "[1/3] Rain100L: 0 psnr " in shown
    assert "[2/3] Rain100L: 1 skipped" in shown
    assert "[3/3] Rain100L: 2 psnr " in shown
    assert len(re.findall(r"  \d+:\d\d left", shown)) == 3
    assert "  0:00 left" in shown.rpartition("[3/3]")[2]

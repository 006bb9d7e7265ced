"""The program as people run it: its own process, its exit code and what it prints."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import skimage.data
from click.testing import CliRunner

from clearair.apps.cli import cli
from clearair.apps.cli.options import MAX_PIXELS
from clearair.image import DEFAULT_MAX_PIXELS, Photo, read_photo, write_photo

COMMANDS = (
    [],
    ["restore"],
    ["inspect"],
    ["degrade"],
    ["train"],
    ["plot"],
    ["models"],
    ["models", "list"],
    ["info"],
)


def run(*arguments, cwd=None, **options):
    """Run the program in a process of its own."""
    code = "from clearair.apps.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=cwd, capture_output=True, **options
    )


@pytest.fixture
def folder(tmp_path):
    write_photo(Photo(skimage.data.chelsea()[:80, :100]), tmp_path / "photo.jpg")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_loads_neither_pytorch_nor_numpy(command):
    code = (
        "import sys\nfrom clearair.apps.cli import cli\n"
        f"cli.main({[*command, '--help']!r}, standalone_mode=False)\n"
        "assert not {'torch', 'numpy', 'pyvips'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_command_has_a_summary():
    for name, command in cli.commands.items():
        assert command.get_short_help_str(), name


def test_a_photo_is_restored_beside_itself_and_reported(folder, model):
    done = run("restore", "photo.jpg", "--model", model, "--report", "report.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.decode().splitlines()
    (record,) = json.loads((folder / "report.json").read_text())
    assert line.startswith("photo.jpg -> photo.restored.jpg: ")
    assert line.endswith(record["outcome"]["text"])
    assert done.stderr == b"clearair: 1 photo: 1 restored\n"
    assert read_photo(folder / "photo.restored.jpg").size == (100, 80)
    (record,) = json.loads((folder / "report.json").read_text())
    assert record["output"] == "photo.restored.jpg"
    assert record["percepts"]["degradations"]


def test_a_model_that_restores_every_photo_can_be_held_back(tmp_path, model):
    write_photo(Photo(skimage.data.chelsea()[:200, :200]), tmp_path / "photo.png")
    command = ["restore", str(tmp_path / "photo.png"), "--model", str(model), "--overwrite"]
    everything = CliRunner().invoke(cli, command)
    assert "nothing found: restored all the same" in everything.stdout
    held_back = CliRunner().invoke(cli, [*command, "--cautious"])
    assert held_back.exit_code == 0, held_back.output
    assert "nothing found: left as it is" in held_back.stdout


def test_the_quality_is_that_asked_for_and_what_goes_is_said(folder, model):
    (folder / "photo.jpg").write_bytes((folder / "photo.jpg").read_bytes() * 2)
    options = ["--model", model, "--jpeg-quality", "40"]
    done = run("restore", "photo.jpg", *options, "--report", "r.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert b"photo.jpg: left out: a further picture\n" in done.stderr
    assert read_photo(folder / "photo.restored.jpg").quality == 40
    (record,) = json.loads((folder / "r.json").read_text())
    assert record["left_out"] == ["a further picture"]
    done = run("restore", "-", *options, cwd=folder, input=(folder / "photo.jpg").read_bytes())
    assert read_photo(done.stdout).quality == 40
    assert b"left out: a further picture" in done.stderr
    done = run("restore", "photo.jpg", "--jpeg-quality", "101", cwd=folder)
    assert done.returncode == 2


def test_a_report_may_lie_in_the_folder_that_the_results_make(folder, model):
    (folder / "photo.jpg").write_bytes(b"")  # so that no result makes it
    options = ["-o", "out", "--report", "out/report.json", "--model", model]
    assert run("restore", "photo.jpg", *options, cwd=folder).returncode == 1
    assert json.loads((folder / "out" / "report.json").read_text())[0]["error"]


def test_a_bad_file_is_one_line_and_the_rest_is_done(folder, model):
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = run("restore", "bad.png", "photo.jpg", "-o", "out", "--model", model, cwd=folder)
    assert done.returncode == 1
    line, counts = done.stderr.decode().splitlines()
    assert "bad.png" in line
    assert counts == "clearair: 2 photos: 1 restored, 1 failed"
    assert os.listdir(folder / "out") == ["photo.jpg"]  # noqa: PTH208


def test_standard_input_goes_to_standard_output(folder, model):
    done = run("restore", "-", "--format", "png", "--model", model, input=(folder / "photo.jpg").read_bytes())
    assert done.returncode == 0, done.stderr
    assert read_photo(done.stdout).size == (100, 80)
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("standard input: ")
    assert "restored" in line
    quiet = run("restore", "-", "--quiet", "--model", model, input=(folder / "photo.jpg").read_bytes())
    assert (quiet.returncode, quiet.stderr) == (0, b"")
    broken = run("restore", "-", "--model", model, input=b"")
    assert (broken.returncode, broken.stdout) == (1, b"")
    assert b"standard input" in broken.stderr


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")  # noqa: PTH110
def test_standard_input_without_an_end_is_refused_by_its_start(model):
    with open("/dev/zero", "rb") as endless:  # noqa: PTH123
        done = run("restore", "-", "--model", model, stdin=endless, timeout=120)
    assert (done.returncode, done.stderr) == (1, b"clearair: standard input: not a picture.\n")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs terminals")
def test_a_picture_is_not_written_to_a_terminal(folder, model):
    _, terminal = os.openpty()
    command = [sys.executable, "-m", "clearair", "restore", "-", "--model", str(model)]
    with (folder / "photo.jpg").open("rb") as photo:
        done = subprocess.run(command, stdin=photo, stdout=terminal, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert b"> better.jpg" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="runs a Unix shell")
def test_a_picture_that_nobody_reads_ends_the_run_without_a_word(folder, model):
    command = f"{sys.executable} -m clearair restore - --model {model} < photo.jpg | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=folder, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("path", ["photo.jpg", "-"])
def test_a_full_disk_behind_standard_output_is_one_line(folder, model, path):
    command = f"exec {sys.executable} -m clearair restore {path} --model {model} < photo.jpg > /dev/full"
    done = subprocess.run(["bash", "-c", command], cwd=folder, stderr=subprocess.PIPE)
    line = b"clearair: standard output: cannot be written: No space left on device.\n"
    assert (done.returncode, done.stderr) == (1, line)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["restore", "photo.jpg", "--model", "nonsense"], 3, "compact"),
        (["restore", "photo.jpg", "--tile", "small"], 2, "small"),
        (["restore", "photo.jpg", "--tile", "8"], 2, "64"),
        (["restore", "photo.jpg", "--strength", "2"], 2, "strength"),
        (["restore", "photo.jpg", "--damage", "hase"], 2, "did you mean 'haze'? Kinds: noise, jpeg,"),
        (["restore", "photo.jpg", "--damage", "haze", "--damage", "none"], 2, "cannot be combined"),
        (["restore", "photo.jpg", "--damage", "haze,"], 2, "needs a kind"),
        (["restore", "-", "--damage", "hase"], 2, "did you mean 'haze'"),
        (["restore", "photo.jpg", "--overwrite", "--resume"], 2, "contradict"),
        (["restore", "-", "photo.jpg"], 2, "standard output"),
        (["restore"], 2, "PATH"),
        (["restore", "empty"], 2, "empty"),
        (["restore", "missing.jpg"], 1, "missing.jpg"),
        (["restore", "photo.jpg", "--max-pixels", "100"], 1, "100"),
        (["restore", "photo.jpg", "-o", "photo.jpg/below"], 1, "photo.jpg"),
        (["restore", "photo.jpg", "-o", "photo.jpg", "--overwrite"], 2, "input"),
        (["inspect", "photo.jpg", "--overlay", "photo.jpg/below"], 1, "photo.jpg"),
        (["degrade", "photo.jpg", "-o", "x.png", "--with", "fire"], 2, "no damage 'fire'. Kinds: "),
        (["degrade", "photo.jpg", "-o", "x.png", "--with", "Hase"], 2, "did you mean 'haze'?"),
        (["degrade", "photo.jpg", "-o", "x.png", "--with", "haze rain"], 2, "separated by commas"),
        (["degrade", "photo.jpg", "-o", "x.png", "--with", "haze,"], 2, "a kind in every place"),
        (["degrade", "photo.jpg", "-o", "photo.jpg", "--with", "rain", "--overwrite"], 2, "input"),
        (["degrade", "missing.jpg", "-o", "new/x.png", "--with", "rain"], 1, "missing.jpg: no such file"),
        (["models", "show", "compact"], 2, "is a model of clearair"),
        (["degrade", "missing.jpg", "-o", "x.gif", "--with", "rain"], 2, "x.gif"),
        (["degrade", "photo.jpg", "-o", "s3:/b/x.jpg", "--with", "rain"], 2, "s3:/b/x.jpg: an address"),
        (["inspect", "photo.jpg", "--overlay", "file:///tmp/x"], 2, "file:///tmp/x: an address"),
        (["inspect", "photo.jpg", "--overlay", ""], 2, "A name is empty"),
        (["restore", "photo.jpg", "-o", "out", "--report", "photo.jpg", "--overwrite"], 2, "input"),
        (["restore", "photo.jpg", "-o", "out", "--report", "out/photo.jpg"], 2, "result"),
        (["restore", "photo.jpg", "-o", "out", "--report", "other/r.json"], 1, "its folder does not exist"),
        (["restore", "photo.jpg", "--report", "photo.restored.jpg"], 2, "result"),
        (["restore", "photo.jpg", "--report", "there.json"], 1, "there.json: exists already"),
        (["restore", "photo.jpg", "--report", "new/r.json"], 1, "its folder does not exist"),
        (["restore", "photo.jpg", "--format", "bmp"], 2, "--format bmp"),
        (["restore", "-", "--format", "bmp"], 2, "--format bmp"),
        (["inspect", "photo.jpg", "--overlay", "seen"], 1, "seen/photo.png: exists already"),
        (["train", "compact", "--data", "nope", "--out", "x"], 1, "nope: there is no such data folder"),
        (
            ["ablate", "losses", "--data", "nope", "--out", "x", "--budget", "3steps"],
            1,
            "nope: there is no such data folder",
        ),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_an_error_is_short_and_has_its_exit_code(folder, model, arguments, code, message):
    (folder / "empty").mkdir()
    (folder / "seen").mkdir()
    (folder / "there.json").write_text("mine")
    (folder / "seen" / "photo.png").write_text("mine")
    if arguments[0] == "restore" and "--model" not in arguments:
        arguments = [*arguments, "--model", model]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = run(*arguments, cwd=folder)
    assert done.returncode == code
    assert message in done.stderr.decode()
    lines = [line for line in done.stderr.decode().splitlines() if line != "clearair: 1 photo: 1 failed"]
    assert len(lines) == 1
    assert done.stdout == b""
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(sys.platform == "win32", reason="sends a Unix signal")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_writes_the_report_and_nothing_half_done(folder, model, number, code):
    write_photo(Photo(np.zeros((2000, 2000, 3), np.uint8)), folder / "z.png")
    program = "from clearair.apps.cli import main; main()"
    options = ["--tile", "64", "--model", str(model), "--report", "report.json"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, "restore", "photo.jpg", "z.png", *options],
        cwd=folder,
        stderr=subprocess.PIPE,
        # What is run in the background by a shell ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not (folder / "photo.restored.jpg").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in errors
    assert b"clearair: 1 photo: 1 restored" in errors
    record, unfinished = json.loads((folder / "report.json").read_text())
    assert record["output"] == "photo.restored.jpg"
    assert (unfinished["input"], unfinished["status"]) == ("z.png", "unfinished")
    names = {path.name for path in folder.iterdir()}
    assert names == {"photo.jpg", "photo.restored.jpg", "report.json", "z.png"}


@pytest.mark.skipif(sys.platform == "win32", reason="such names are not allowed there")
def test_a_line_end_in_a_name_does_not_break_a_line(folder, model):
    (folder / "photo.jpg").rename(folder / "two\nlines.jpg")
    (folder / "b\nad.png").write_bytes(b"")
    done = run("restore", ".", "-o", "out", "--model", model, cwd=folder)
    (line,) = done.stdout.decode().splitlines()
    assert line.startswith("two\\nlines.jpg -> out/two\\nlines.jpg: ")
    assert done.stderr.decode().splitlines() == [
        "clearair: b\\nad.png: the file is empty.",
        "clearair: 2 photos: 1 restored, 1 failed",
    ]


def test_pictures_that_share_a_name_or_are_not_read_are_named_and_the_rest_is_done(folder, model):
    write_photo(Photo(skimage.data.chelsea()[:80, :100]), folder / "photo.png")
    (folder / "c.psd").touch()
    done = run("restore", ".", "-o", "out", "--format", "png", "--model", model, cwd=folder)
    assert done.returncode == 1
    (line,) = done.stdout.decode().splitlines()
    assert line.startswith("photo.png -> out/photo.png: ")
    passed, shared, _ = done.stderr.decode().splitlines()
    assert passed == "clearair: skipped because their format is not read: 1 .psd."
    assert shared.startswith("clearair: photo.jpg: would become out/photo.png, as would photo.png.")


def test_damage_is_the_same_for_the_same_seed(folder):
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        done = CliRunner().invoke(
            cli,
            [
                "degrade",
                f"{folder}/photo.jpg",
                "-o",
                f"{folder}/{name}",
                "--with",
                "Rain, noise",
                "--seed",
                seed,
            ],
        )
        assert done.exit_code == 0, done.output
    a, b, c = (read_photo(folder / name).pixels for name in ("a.png", "b.png", "c.png"))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_damaging_a_photo_tells_what_was_converted_and_makes_the_folder(folder):
    write_photo(Photo(np.full((8, 8, 3), 40000, np.uint16)), folder / "deep.png")
    words = ["degrade", f"{folder}/deep.png", "-o", f"{folder}/more/x.jpg", "--with", "noise"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert "deep.png: 16-bit values were rounded to 8 bits" in done.stderr
    assert (folder / "more" / "x.jpg").exists()


def test_inspect_says_what_is_wrong_and_draws_the_regions(folder):
    done = CliRunner().invoke(
        cli, ["inspect", f"{folder}/photo.jpg", "--json", "--overlay", f"{folder}/seen"]
    )
    (record,) = json.loads(done.stdout)
    assert 1 <= record["score"] <= 5
    width, height = read_photo(folder / "seen" / "photo.png").size
    assert width >= 100
    assert height > 80
    text = CliRunner().invoke(cli, ["inspect", f"{folder}/photo.jpg"]).stdout
    assert "quality" in text
    assert record["outcome"]["text"] in text


def test_damage_is_named_once_or_again_and_reported_by_the_same_word(folder):
    words = [
        "restore",
        f"{folder}/photo.jpg",
        "--overwrite",
        "--report",
        f"{folder}/r.json",
        "--device",
        "cpu",
    ]

    def told(*options):
        done = CliRunner().invoke(cli, [*words, *options])
        assert done.exit_code == 0, done.output
        (record,) = json.loads((folder / "r.json").read_text())
        assert record["outcome"]["text"] in done.stdout
        return record["outcome"]["damage"], done

    assert told("--damage", "haze,rain")[0] == ["haze", "rain"]
    word, done = told("--damage", "haze", "--damage", "rain")
    assert word == ["haze", "rain"]
    assert done.stderr.splitlines() == ["clearair: 1 photo: 1 restored"]
    word, done = told("--damage", "none")
    assert word == "none"
    assert "named none: left as it is" in done.stdout
    assert "1 left as it is" in done.stderr
    write_photo(Photo(skimage.data.astronaut()), folder / "photo.jpg", overwrite=True)
    word, done = told()
    assert word == "auto"
    assert (
        "nothing found: left as it is; if you see damage, name it with restore --damage KIND" in done.stdout
    )


def test_what_was_perceived_once_is_read_by_inspect_and_restore(folder):
    cache = folder / "percepts"
    for command in (["inspect"], ["inspect"], ["restore", "--device", "cpu"]):
        done = CliRunner().invoke(cli, [*command, f"{folder}/photo.jpg", "--cache-percepts", str(cache)])
        assert done.exit_code == 0, done.output
        assert len(list(cache.glob("*/*.safetensors"))) == 1


def test_perceivers_that_cannot_be_had_are_named(folder):
    for option, said in (("--regions=eagle", "eagle"), ("--regions=sam2", "needs weights")):
        done = CliRunner().invoke(cli, ["inspect", f"{folder}/photo.jpg", option])
        assert said in str(done.exception)


def test_a_model_refuses_perceivers_it_was_not_trained_with(folder):
    from clearair.perception.compact.stored import shipped_folder

    mix = f"--quality=compact={shipped_folder()}"
    done = run("restore", folder / "photo.jpg", mix)
    assert done.returncode == 3
    assert b"trained with other perceivers" in done.stderr
    assert b"leave out --quality, --regions and --degradation" in done.stderr


def test_models_and_info_name_what_is_there():
    assert "compact" in CliRunner().invoke(cli, ["models", "list"]).stdout
    assert "PyTorch" in CliRunner().invoke(cli, ["info"]).stdout


def test_the_limit_in_the_help_is_the_library_s():
    assert MAX_PIXELS == DEFAULT_MAX_PIXELS

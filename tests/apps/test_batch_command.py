"""`clearair restore --journal` and `clearair batch`: whole runs of the program."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from clearair.image import Photo, write_photo

EXAMPLES = Path(__file__).parents[2] / "examples"
COUNT = 6


def program(folder: Path, *words: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "clearair", *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    draw = np.random.default_rng(0)
    for number in range(COUNT):
        pixels = draw.normal(120, 40, (48, 64, 3)).clip(0, 255).astype(np.uint8)
        write_photo(Photo(pixels), tmp_path / "photos" / f"{number}.png")
    return tmp_path


def states(folder: Path, journal: str = "run.db") -> dict[str, int]:
    counts = json.loads(program(folder, "batch", "status", journal, "--json").stdout)
    return {state: count for state, count in counts.items() if count}


def test_a_run_with_a_journal(folder):
    done = program(folder, "restore", "photos", "-o", "out", "--journal", "run.db", "--strength", "0.5")
    assert done.returncode == 0, done.stderr
    assert f"{COUNT} photos: {COUNT} restored" in done.stderr
    assert states(folder) == {"restored": COUNT}
    again = program(folder, "restore", "photos", "-o", "out", "--journal", "run.db")
    assert again.returncode == 1
    assert "clearair batch resume" in again.stderr
    plain = program(folder, "restore", "photos", "-o", "plain", "--strength", "0.5")
    assert plain.returncode == 0
    for path in (folder / "plain").iterdir():
        assert path.read_bytes() == (folder / "out" / path.name).read_bytes()


def test_it_goes_on_from_anywhere_with_the_options_it_was_begun_with(folder, tmp_path_factory):
    listed = program(
        folder, "restore", "photos", "-o", "out", "--journal", "run.db", "--damage", "none", "--list-only"
    )
    assert listed.returncode == 0
    assert f"run.db: {COUNT} photos: {COUNT} pending" in listed.stderr
    assert states(folder) == {"pending": COUNT}
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = program(elsewhere, "batch", "resume", folder / "run.db")
    assert done.returncode == 0, done.stderr
    assert states(folder) == {"left": COUNT}
    assert (folder / "out" / "0.png").read_bytes() == (folder / "photos" / "0.png").read_bytes()
    assert program(folder, "restore", "--resume", "run.db").returncode == 0


def test_what_failed_is_named_and_repeated(folder):
    bad = folder / "photos" / "bad.png"
    bad.write_text("no picture")
    done = program(folder, "restore", "photos", "-o", "out", "--journal", "run.db")
    assert done.returncode == 1
    told = program(folder, "batch", "status", "run.db", "--failed").stdout
    assert "1 failed" in told
    assert "bad.png: not a picture." in told
    shutil.copy(folder / "photos" / "0.png", bad)
    assert "1 to be done again" in program(folder, "batch", "retry", "run.db").stdout
    assert program(folder, "batch", "resume", "run.db").returncode == 0
    assert states(folder) == {"restored": COUNT + 1}


def test_results_are_verified_and_repaired(folder):
    program(folder, "restore", "photos", "-o", "out", "--journal", "run.db")
    assert f"{COUNT} results checked, 0 wrong" in program(folder, "batch", "verify", "run.db").stdout
    (folder / "out" / "1.png").unlink()
    wrong = program(folder, "batch", "verify", "run.db", "--repair")
    assert wrong.returncode == 1
    assert "1.png: is gone" in wrong.stderr
    assert program(folder, "batch", "resume", "run.db").returncode == 0
    assert program(folder, "batch", "verify", "run.db").returncode == 0


def test_parts_of_a_run_are_checked_and_repeated_with_it(folder):
    (folder / "photos" / "bad.png").write_text("no picture")
    words = ("restore", "photos", "-o", "out", "--journal", "run.db", "--damage", "none", "--list-only")
    assert program(folder, *words).returncode == 0
    for part in ("1/2", "2/2"):
        program(folder, "batch", "resume", "run.db", "--shard", part)
    assert "bad.png: not a picture." in program(folder, "batch", "status", "run.db", "--failed").stdout
    (folder / "out" / "1.png").unlink()
    wrong = program(folder, "batch", "verify", "run.db", "--repair")
    assert wrong.returncode == 1
    assert f"run.db: {COUNT} results checked, 1 wrong" in wrong.stdout
    shutil.copy(folder / "photos" / "0.png", folder / "photos" / "bad.png")
    said = wrong.stdout + program(folder, "batch", "retry", "run.db").stdout
    again = re.findall(r"1 to be done again: clearair batch resume (run\.db\.[12]-of-2)", said)
    assert len(again) == 2
    for part in again:
        assert program(folder, "batch", "resume", part).returncode == 0
    assert program(folder, "batch", "verify", "run.db").returncode == 0
    assert states(folder) == {"left": COUNT + 1}


@pytest.mark.parametrize("words", [(), ("--shard", "1/3")])
def test_a_run_in_parts_is_not_done_again_otherwise(folder, words):
    program(
        folder, "restore", "photos", "-o", "out", "--journal", "run.db", "--damage", "none", "--list-only"
    )
    program(folder, "batch", "resume", "run.db", "--shard", "1/2")
    done = program(folder, "batch", "resume", "run.db", *words)
    assert done.returncode == 2
    assert "started in 2 parts" in done.stderr
    assert "run.db --shard 1/2" in done.stderr
    assert sorted(path.name for path in folder.glob("run.db.*")) == ["run.db.1-of-2"]


def test_a_run_that_is_killed_goes_on(folder):
    command = [
        sys.executable,
        "-m",
        "clearair",
        "restore",
        "photos",
        "-o",
        "out",
        "--journal",
        "run.db",
        "-j",
        "1",
    ]
    run = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    late = time.monotonic() + 60
    while not list(folder.glob("out/*.png")) and time.monotonic() < late:
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    before = {path: path.stat().st_ino for path in folder.glob("out/*.png")}
    assert before
    assert program(folder, "batch", "resume", "run.db").returncode == 0
    assert states(folder) == {"restored": COUNT}
    assert {path: path.stat().st_ino for path in before} == before
    assert sorted(path.name for path in (folder / "out").iterdir()) == [f"{n}.png" for n in range(COUNT)]


def test_parts_of_a_list_without_a_journal(folder):
    names = "\n".join(f"photos/{number}.png" for number in range(COUNT))
    for part in ("1/2", "2/2"):
        done = program(folder, "restore", "--files-from", "-", "-o", "out", "--shard", part, input=names)
        assert done.returncode == 0, done.stderr
    assert len(list((folder / "out" / "photos").iterdir())) == COUNT


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shard", "3/2"], "shard"),
        (["--list-only"], "--journal FILE"),
        (["--journal", "run.db", "--resume"], "leave out --resume"),
        (["--journal", "run.db", "--report", "r.json"], "leave out --resume and --report"),
    ],
)
def test_options_that_make_no_sense(folder, words, message):
    done = program(folder, "restore", "photos", "-o", "out", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (folder / "run.db").exists()


@pytest.mark.parametrize("command", ["status", "resume", "retry", "verify"])
def test_what_is_no_journal(folder, command):
    (folder / "text.db").write_text("hello")
    for name in ("none.db", "text.db"):
        done = program(folder, "batch", command, name)
        assert done.returncode == 2
        assert "journal" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_journal_of_another_program(folder):
    from clearair.files.journal import Journal

    Journal.create(folder / "run.db", [], {"words": 3}).close()
    done = program(folder, "batch", "resume", "run.db")
    assert done.returncode == 2
    assert "was not started by `clearair restore`" in done.stderr


def test_the_example_for_slurm(folder):
    program(folder, "restore", "photos", "-o", "out", "--journal", "run.db", "--list-only")
    (folder / "clearair").write_text(f'#!/bin/sh\nexec {sys.executable} -m clearair "$@"\n')
    (folder / "clearair").chmod(0o755)
    for task in ("1", "2", "3"):
        variables = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "3"}
        path = f"{folder}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", EXAMPLES / "slurm.sh", "run.db"],
            cwd=folder,
            env={**os.environ, **variables, "PATH": path},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
    assert states(folder) == {"restored": COUNT}


def test_the_example_for_kubernetes(folder):
    job = yaml.safe_load((EXAMPLES / "kubernetes-job.yaml").read_text())["spec"]
    container = job["template"]["spec"]["containers"][0]
    program(folder, "restore", "photos", "-o", "out", "--journal", "run.db", "--list-only")
    words = container["args"][0].replace("/data/run.db", str(folder / "run.db"))
    words = words.replace("exec clearair", f"exec {sys.executable} -m clearair")
    assert re.search(rf"/{job['completions']} ", words)
    for index in range(job["completions"]):
        done = subprocess.run(
            [*container["command"], words],
            env={**os.environ, "JOB_COMPLETION_INDEX": str(index)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
    assert states(folder) == {"restored": COUNT}

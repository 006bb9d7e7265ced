"""`clearair restore s3://...`: whole runs of the program against a real S3 server of this machine."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from clearair.image import Photo, write_photo
from tests.object_store import BUCKET

COUNT = 6
NAMES = [f"{number}.png" for number in range(COUNT)]
ROOT = f"s3://{BUCKET}"
RESTORE = ["restore", f"{ROOT}/photos", "-o", f"{ROOT}/out", "--backend", "onnx"]


@pytest.fixture
def store(object_server, tmp_path):
    object_server.reset()
    draw = np.random.default_rng(0)
    for name in NAMES:
        pixels = draw.normal(120, 40, (48, 64, 3)).clip(0, 255).astype(np.uint8)
        write_photo(Photo(pixels), tmp_path / name)
        object_server.put(f"photos/{name}", (tmp_path / name).read_bytes())
        (tmp_path / name).unlink()
    return object_server


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "clearair", *words]


def program(store, folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*words),
        cwd=folder,
        env={**os.environ, **store.settings, **settings},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_run_that_is_killed_goes_on_and_does_each_photo_once(store, tmp_path):
    words = [*RESTORE, "--journal", "run.db", "-j", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, **store.settings}
    killed = subprocess.Popen(command(*words), cwd=tmp_path, env=environment, **quiet)
    late = time.monotonic() + 120
    while not store.keys("out") and time.monotonic() < late:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = {key: store.client.head_object(Bucket=BUCKET, Key=key) for key in store.keys("out")}
    assert before
    done = program(store, tmp_path, "batch", "resume", "run.db")
    assert done.returncode == 0, done.stderr
    assert f"{COUNT} photos: {COUNT} restored" in done.stderr
    assert store.keys("out") == [f"out/{name}" for name in NAMES]
    for key, head in before.items():
        assert store.client.head_object(Bucket=BUCKET, Key=key)["LastModified"] == head["LastModified"]
    checked = program(store, tmp_path, "batch", "verify", "run.db")
    assert f"{COUNT} results checked, 0 wrong" in checked.stdout
    again = program(store, tmp_path, *RESTORE)
    assert again.returncode == 1
    assert again.stderr.count("exists already") == COUNT


def test_an_interrupted_run_ends_soon_and_leaves_nothing_half_done(store, tmp_path):
    signalled = threading.Event()

    def hold(method, path):
        """Let the run go on only when the signal has come, on a busy machine too."""
        if method == "PUT" and "/out/" in path and store.keys("out"):
            signalled.wait(60)

    store.fault = hold
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, **store.settings, "TMPDIR": str(tmp_path / "temporary")}
    words = [*RESTORE, "--journal", "run.db", "-j", "1"]
    run = subprocess.Popen(
        command(*words),
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # What is run in the background by a shell ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    late = time.monotonic() + 120
    while not store.keys("out") and time.monotonic() < late:
        time.sleep(0.005)
    run.send_signal(signal.SIGINT)
    signalled.set()
    _, told = run.communicate(timeout=120)
    assert run.returncode == 130
    assert b"Traceback" not in told
    assert list((tmp_path / "temporary").iterdir()) == []
    states = json.loads(program(store, tmp_path, "batch", "status", "run.db", "--json").stdout)
    assert states["restored"] == len(store.keys("out"))


@pytest.mark.parametrize(
    ("words", "settings", "message"),
    [
        (RESTORE, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}, "cannot be reached"),
        (["restore", "s3://key:sEcReT@bucket/a", "-o", "out"], {}, "credentials do not belong"),
        (["restore", f"{ROOT}/clip.mp4", "-o", "out"], {}, "a video in a store"),
        (["restore", "clip.mp4", "-o", f"{ROOT}/clips"], {}, "videos cannot be written to a store"),
        ([*RESTORE, "--journal", "s3://bucket/run.db"], {}, "must be a path on this machine"),
        (["restore", "nothing://bucket/a", "-o", "out"], {}, "no kind of store"),
        ([*RESTORE[:2], "-o", "gs://bucket/a"], {}, "pip install gcsfs"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_ends_with_2(store, tmp_path, words, settings, message):
    done = program(store, tmp_path, *words, **settings)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    for secret in ("sEcReT", store.settings["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in done.stdout + done.stderr

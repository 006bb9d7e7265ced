"""`clearair restore` with videos."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("av")

from clearair.image import Photo, write_photo
from tests.video.clips import look, pictures, write_clip

pytestmark = pytest.mark.slow  # each of them starts programs that load a model

PROGRAM = "from clearair.apps.cli import main; main()"


@pytest.fixture
def restore(tmp_path, model):
    def run(*words, code=0):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "restore", *words, "--model", str(model)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def test_a_video_and_a_photo_are_restored_together(restore, tmp_path):
    write_clip(tmp_path / "clip.mp4", pictures(6), sound=True)
    write_photo(Photo(pictures(1)[0]), tmp_path / "photo.png")
    words = ("--damage", "noise", "--video-quality", "10", "--jobs", "2", "--jpeg-quality", "90")
    done = restore("clip.mp4", "photo.png", "-o", "out", *words)
    assert done.stderr.count("--jobs applies to photos only") == 1
    assert done.stderr.count("--jpeg-quality applies to photos only") == 1
    assert "out/clip.mp4: 1 shot" in done.stdout
    assert "6 of 6 frames restored" in done.stdout
    assert look(tmp_path / "out" / "clip.mp4").times == look(tmp_path / "clip.mp4").times
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name[0] != ".") == [
        "clip.mp4",
        "photo.png",
    ]


def test_videos_in_a_folder_are_counted(restore, tmp_path):
    (tmp_path / "all").mkdir()
    write_clip(tmp_path / "all" / "clip.mp4", pictures(2))
    write_photo(Photo(pictures(1)[0]), tmp_path / "all" / "photo.png")
    done = restore("all", "-o", "out")
    assert "skipped: 1 video; name it to restore it." in done.stderr
    (tmp_path / "all" / "photo.png").unlink()
    for place in ("all", "all/*"):
        assert ", but 1 video; name it to restore it." in restore(place, "-o", "more", code=2).stderr


def test_errors_are_one_line_with_a_code(restore, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 50)
    clip = write_clip(tmp_path / "clip.mp4", pictures(2))
    assert restore("bad.mp4", code=1).stderr.startswith("clearair: bad.mp4: cannot be read")
    assert "name a file or a folder" in restore("clip.mp4", "-o", "-", code=2).stderr
    assert "--report applies to photos only" in restore("clip.mp4", "--report", "r.json", code=2).stderr
    assert "--cluster applies to photos only" in restore("clip.mp4", "--cluster", "auto", code=2).stderr
    assert "not a format that videos are written in" in restore("clip.mp4", "-o", "a.png", code=2).stderr
    assert "none.mp4: no such file" in restore("none.mp4", code=1).stderr
    both = restore("bad.mp4", str(clip), "-o", "out", code=1)
    assert len(both.stderr.splitlines()) == 1
    assert (tmp_path / "out" / "clip.mp4").exists()


def test_without_pyav_the_message_says_what_to_install(tmp_path):
    write_clip(tmp_path / "clip.mp4", pictures(2))
    hidden = (
        "import importlib.metadata as m; real = m.version\n"
        "def version(name):\n"
        "    if name == 'av': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden + PROGRAM, "restore", "clip.mp4"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "clearair: Restoring videos needs PyAV: pip install 'clearair[video]'\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_goes_on(restore, tmp_path, model, number):
    large = [np.tile(frame, (2, 2, 1)) for frame in pictures(150)]
    write_clip(tmp_path / "clip.mp4", large)
    words = ["restore", "clip.mp4", "--damage", "noise", "--model", str(model)]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    work = tmp_path / ".clip.restored.mp4.clearair"
    deadline = time.monotonic() + 60
    while not (work / "segment-000000").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert not (tmp_path / "clip.restored.mp4").exists()
    if number == signal.SIGINT:
        assert "with --resume continues" in errors
    first = (work / "segment-000000").stat().st_ino
    assert "holds an unfinished run; --resume continues it" in restore(*words[1:4], code=1).stderr
    assert (work / "segment-000000").stat().st_ino == first
    assert "150 of 150 frames restored" in restore(*words[1:4], "--resume").stdout
    assert look(tmp_path / "clip.restored.mp4").times == look(tmp_path / "clip.mp4").times
    assert not work.exists()


def test_a_run_that_is_killed_while_it_looks_goes_on(restore, tmp_path, model):
    seconds = 60
    write_clip(tmp_path / "clip.mp4", pictures(seconds), times=[12800 * each for each in range(seconds)])
    words = ["clip.mp4", "--damage", "noise"]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "restore", *words, "--model", str(model)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    )
    work = tmp_path / ".clip.restored.mp4.clearair"
    deadline = time.monotonic() + 60
    while not (work / "look.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.communicate(timeout=60)
    assert not (work / "plan.json").exists()
    assert "holds an unfinished run" in restore(*words, code=1).stderr
    assert "60 of 60 frames restored" in restore(*words, "--resume").stdout
    assert not work.exists()

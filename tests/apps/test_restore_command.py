"""`clearair restore` with lists, pipes and closed streams, as a shell runs it."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from clearair.apps.cli.lines import in_options
from clearair.image import Photo, read_photo, write_photo

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="runs a Unix shell")


def noisy(height=70, width=80):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def folder(tmp_path):
    """a.png and sub/b.jpg."""
    (tmp_path / "ph" / "sub").mkdir(parents=True)
    write_photo(Photo(noisy()), tmp_path / "ph" / "a.png")
    write_photo(Photo(noisy()), tmp_path / "ph" / "sub" / "b.jpg")
    return tmp_path


@pytest.fixture
def shell(folder, model):
    """Run a line of bash in the folder; `restore` stands for the command with a small model."""
    program = f"{shlex.quote(sys.executable)} -c 'from clearair.apps.cli import main; main()'"

    def run(line, **options):
        words = f'restore() {{ {program} restore --model {shlex.quote(str(model))} "$@"; }}\n{line}'
        return subprocess.run(["bash", "-c", words], cwd=folder, capture_output=True, timeout=240, **options)

    return run


def results(folder, place="out"):
    out = folder / place
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "streams",
    [">&-", "<&- >&- 2>&-", "| head -1", "2>&1 | true"],
)
def test_the_work_is_done_whoever_listens(folder, shell, streams):
    done = shell(f"restore ph -o out {streams}\n(exit ${{PIPESTATUS[0]}})")
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert results(folder) == ["a.png", "sub/b.jpg"]
    for name in results(folder):
        assert read_photo(folder / "out" / name).size == (80, 70)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("restore ph/a.png -o - >&-", 2),
        ("restore nothing.png -o out 2>&-", 1),
        ("restore --nonsense 2>&-", 2),
        ("restore --help >&-", 0),
    ],
)
def test_closed_streams_leave_exit_codes_as_they_are(shell, line, code):
    done = shell(line)
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False), done.stderr


def test_one_picture_goes_to_standard_output(folder, shell):
    done = shell("restore ph/a.png -o - --format jpg")
    assert done.returncode == 0, done.stderr
    assert (read_photo(done.stdout).format, read_photo(done.stdout).size) == ("jpeg", (80, 70))
    assert not (folder / "-").exists()
    several = shell("restore ph -o - | cat; exit ${PIPESTATUS[0]}")
    assert (several.returncode, several.stdout) == (2, b"")
    assert b"standard output takes one picture, not 2" in several.stderr


def test_standard_input_goes_to_a_file_that_is_named(folder, shell):
    done = shell("cat ph/a.png | restore - -o better.jpg")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"standard input -> better.jpg: ")
    better = (folder / "better.jpg").read_bytes()
    assert (read_photo(better).format, read_photo(better).size) == ("jpeg", (80, 70))
    again = shell("restore - -o better.jpg < ph/sub/b.jpg")
    assert (again.returncode, (folder / "better.jpg").read_bytes()) == (1, better)
    assert b"better.jpg: exists already" in again.stderr
    assert shell("restore - -o better.jpg --overwrite --strength 0 < ph/sub/b.jpg").returncode == 0
    assert (folder / "better.jpg").read_bytes() == (folder / "ph" / "sub" / "b.jpg").read_bytes()


@pytest.mark.parametrize("line", ["restore ph/a.png -o - --strength 0", "restore - --strength 0 < ph/a.png"])
def test_what_is_left_alone_goes_out_byte_by_byte(folder, shell, line):
    assert shell(line).stdout == (folder / "ph" / "a.png").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_picture_that_standard_output_cannot_take_is_an_error(shell):
    done = shell("PYTHONUNBUFFERED=1 restore ph/a.png -o - > /dev/full")
    assert done.returncode == 1
    assert b"standard output: cannot be written: No space left on device" in done.stderr


def test_a_short_write_is_no_success_where_python_does_not_buffer():
    """A pipe that is not waited for takes 64 KiB at once at most."""
    code = (
        "import os, sys; os.set_blocking(1, False)\n"
        "from clearair.apps.cli import program; program._buffer_output()\n"
        "try: sys.stdout.buffer.write(bytes(1 << 20)); sys.stdout.buffer.flush()\n"
        "except BlockingIOError: os._exit(7)\n"
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert process.wait(timeout=60) == 7  # instead of success
    process.stdout.close()


def test_a_list_of_files_keeps_its_tree(folder, shell):
    done = shell("find ph -type f -print0 | restore --files-from - -0 -o out")
    assert done.returncode == 0, done.stderr
    assert results(folder) == ["ph/a.png", "ph/sub/b.jpg"]
    (folder / "list").write_text("ph/a.png\n\n")
    done = shell("restore --files-from list -o again")
    assert (done.returncode, results(folder, "again")) == (0, ["ph/a.png"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("restore -o out", "PATH"),
        ("restore --files-from missing", "--files-from missing: cannot be read"),
        ("restore --files-from /dev/null", "names no files"),
        ("restore -0 ph", "--files-from"),
        ("restore --files-from - - < /dev/null", "one picture, from standard input"),
        ("restore ph/a.png -o - --resume", "no options about many files"),
        ("restore ph/a.png -o - --overwrite", "no options about many files"),
        ("restore - -o out < ph/a.png", "name a file, as in -o better.jpg"),
        ("restore - -o out.mp4 < ph/a.png", ".mp4 is not a format that can be written"),
        ("restore - -o out.png <&-", "the standard input is closed"),
        ("restore - -o out.jpg --format png < ph/a.png", "out.jpg: contradicts --format png"),
        ("restore - -o out.gif < ph/a.png", "this format cannot be written"),
        ("restore - -o ph/a.png --overwrite < ph/a.png", "is an input itself"),
        ("restore ph --overwrite --resume", "--overwrite and --resume contradict"),
        ("restore ph --format bmp", "--format bmp: not a format"),
        ("restore ph -o http://example.com/a", "neither a folder nor an address of a store"),
        ("restore ph --model ''", "name of the model is empty"),
    ],
)
def test_wrong_usage_is_one_line_in_the_words_of_the_command(shell, line, said):
    done = shell(line)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1


def test_tiles_that_need_nothing_are_counted_and_restored_all_the_same_on_demand(folder, shell):
    write_photo(Photo(noisy(430, 430)), folder / "large.png")
    options = "large.png --tile 256 --strength 0.001"
    done = shell(
        f"restore {options} -o a --report a.json && restore {options} -o b --report b.json --no-skip"
    )
    assert done.returncode == 0, done.stderr
    skipping, without = (json.loads((folder / name).read_text())[0] for name in ("a.json", "b.json"))
    assert skipping["status"] == "left"
    assert skipping["outcome"]["text"].endswith("left as it is, since no change would be seen")
    tiles = skipping["outcome"]["tiles"]
    assert skipping["outcome"]["tiles_left"] == tiles > 1
    assert (without["outcome"]["tiles"], without["outcome"]["tiles_left"]) == (tiles, 0)


def test_a_run_with_a_report_is_resumed_night_after_night(folder, shell):
    first = shell("restore ph/a.png -o out --report r.json")
    assert first.returncode == 0, first.stderr
    (record,) = json.loads((folder / "r.json").read_text())
    refused = shell("restore ph/a.png -o out --report r.json")
    assert (refused.returncode, b"replace it with --overwrite" in refused.stderr) == (1, True)
    resumed = shell("restore ph/a.png ph/sub/b.jpg -o out --report r.json --resume")
    assert resumed.returncode == 0, resumed.stderr
    again, other = json.loads((folder / "r.json").read_text())
    assert (again, other["status"]) == (record, "restored")


def test_an_earlier_run_below_the_input_is_passed_over_with_a_remark(folder, shell):
    assert shell("restore ph -o ph/one").returncode == 0
    done = shell("restore ph -o ph/two")
    assert b"skipped as results of earlier runs: ph/one" in done.stderr
    assert results(folder, "ph/two") == [".clearair", "a.png", "sub/b.jpg"]


def test_a_result_has_the_mode_of_its_input_and_its_time_when_asked_for(folder, shell):
    photo = folder / "ph" / "a.png"
    photo.chmod(0o600)
    os.utime(photo, (1_000_000_000, 1_000_000_000))
    assert shell("umask 022; restore ph/a.png -o out --preserve-times").returncode == 0
    result = (folder / "out" / "a.png").stat()
    assert (result.st_mode & 0o777, result.st_mtime) == (0o600, 1_000_000_000)


def test_ctrl_c_says_how_far_it_came_and_how_to_go_on(folder, model):
    write_photo(Photo(np.zeros((2000, 2000, 3), np.uint8)), folder / "ph" / "z.png")
    program = "from clearair.apps.cli import main; main()"
    command = ["restore", "ph/a.png", "ph/z.png", "-o", "out", "--tile", "64", "--model", str(model)]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *command, "--report", "r.json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not (folder / "out" / "a.png").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    told, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.startswith(b"ph/a.png -> out/a.png: ")
    assert told.count(b"\n") == 1
    assert [line for line in errors.decode().splitlines() if line] == [
        "clearair: 1 photo: 1 restored",
        "clearair: 1 of 2 done; the same command with --resume does the rest.",
        "clearair: interrupted",
    ]
    records = json.loads((folder / "r.json").read_text())
    assert [record["status"] for record in records] == ["restored", "unfinished"]


def test_arguments_of_python_become_options():
    assert in_options("a.png: exists already; overwrite=True replaces it, resume=True skips it.") == (
        "a.png: exists already; --overwrite replaces it, --resume skips it."
    )
    assert in_options("raise the limit with max_pixels=N.") == "raise the limit with --max-pixels N."
    assert in_options("out.png: contradicts format=tiff.") == "out.png: contradicts --format tiff."
    assert in_options("colour=True.jpg: not a picture.") == "colour=True.jpg: not a picture."

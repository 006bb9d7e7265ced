"""Where memory is too short: smaller tiles, or one line that says what helps; each run is a process."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from skimage import data

from clearair.image import Photo, read_photo, write_photo
from clearair.memory import has_room, is_shortage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")

READ_AND_WRITE_BELOW_MANY_LIMITS = """
    import os, resource, sys
    from clearair.errors import OutOfMemoryError
    from clearair.image import encode_photo, read_photo

    def addresses():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()

    resource.setrlimit(resource.RLIMIT_AS, (1 << 40, -1))  # before the first look at it
    for spare in (1, 5, 20, 40, 70, 90, 120, 160, 240, 400):
        if pid := os.fork():
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            print(spare, code)
            continue
        resource.setrlimit(resource.RLIMIT_AS, (addresses() + (spare << 20), -1))
        try:
            encode_photo(read_photo(sys.argv[1]))
        except OutOfMemoryError as error:
            assert "ulimit -v" in str(error)
            os._exit(10)
        except BaseException as error:
            print(repr(error))
            os._exit(20)
        os._exit(0)
"""


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif"])
def test_a_picture_that_finds_no_memory_is_not_called_damaged(tmp_path, suffix):
    path = tmp_path / f"photo{suffix}"
    times = 2 if suffix == ".avif" else 3  # AVIF takes ten times as long to encode
    write_photo(Photo(np.tile(data.coffee(), (times, times, 1))), path)
    program = textwrap.dedent(READ_AND_WRITE_BELOW_MANY_LIMITS)
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    codes = [int(line.split()[1]) for line in done.stdout.splitlines() if line.count(" ") == 1]
    assert len(codes) == 10, done.stdout + done.stderr
    assert set(codes) == {0, 10}, done.stdout + done.stderr
    assert codes == sorted(codes, reverse=True)  # what fits does so below every higher limit


RESTORE_WITH_A_LARGE_NEIGHBOUR = """
    import resource, sys
    from pathlib import Path
    import numpy as np
    from clearair.files.batch import run
    from clearair.files.finding import find_images
    from clearair.files.outputs import plan_outputs
    from clearair.image import read_photo

    def addresses():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()

    def process(photo):
        room = np.empty(limit - addresses() - (20 << 20), np.uint8)  # as the network takes all there is
        time.sleep(0.5)
        return photo, {}

    import time
    read_photo(sys.argv[1] + "/a.png")
    limit = addresses() + (400 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, -1))
    for record in run(plan_outputs(find_images(sys.argv[1])), process):
        print(record.error)
"""


@pytest.mark.slow  # what it sees depends on who is first
def test_what_finds_no_memory_beside_another_picture_is_done_after_it(tmp_path):
    for name in "abcd":
        write_photo(Photo(data.coffee()), tmp_path / f"{name}.png")
    program = textwrap.dedent(RESTORE_WITH_A_LARGE_NEIGHBOUR)
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["None"] * 4, done.stdout + done.stderr


def restored(folder, megabytes: int) -> subprocess.CompletedProcess[str]:
    limit = (
        f"ulimit -v {megabytes * 1024}; exec {sys.executable} -m clearair restore photo.jpg -o out --tile off"
    )
    return subprocess.run(["bash", "-c", limit], cwd=folder, capture_output=True, text=True)


def test_a_whole_picture_that_finds_no_memory_is_restored_in_tiles_or_refused_in_one_line(tmp_path):
    big = np.ascontiguousarray(np.tile(data.coffee(), (3, 2, 1))[:1100, :1100])
    write_photo(Photo(big), tmp_path / "photo.jpg")
    in_tiles = 0
    for megabytes in range(1300, 750, -125):  # how much suffices depends on the machine
        done = restored(tmp_path, megabytes)
        if done.returncode == 0:
            assert read_photo(tmp_path / "out" / "photo.jpg").size == (1100, 1100)
            (tmp_path / "out" / "photo.jpg").unlink()
            in_tiles += "photo.jpg: restored in tiles of" in done.stderr
        else:
            assert_one_line(done)
            assert not (tmp_path / "out" / "photo.jpg").exists()
    assert in_tiles


@pytest.mark.parametrize("megabytes", [150, 500, 600])
def test_too_little_memory_for_anything_is_one_line_with_the_remedy(tmp_path, megabytes):
    write_photo(Photo(data.coffee()), tmp_path / "photo.jpg")
    assert_one_line(restored(tmp_path, megabytes))
    assert not (tmp_path / "out" / "photo.jpg").exists()


def assert_one_line(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1, done.stderr
    line, *counts = done.stderr.splitlines()
    assert "not enough memory" in line
    assert "ulimit -v" in line
    assert counts in ([], ["clearair: 1 photo: 1 failed"])


def test_room_is_there_or_not():
    assert has_room(1 << 20)
    assert not has_room(1 << 60)


def test_an_error_of_another_kind_is_no_shortage():
    assert not is_shortage(ValueError("a premature end"))
    assert is_shortage(MemoryError())

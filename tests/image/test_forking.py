"""A process that forks after it read photos, while its threads read some, and where a child cannot go on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads cannot be counted here")

PROGRAM = """
import os, signal, sys, threading, time
from pathlib import Path
import numpy as np
from clearair.errors import ClearAirError
from clearair.image import Photo, encode_photo, read_photo

FORMATS = "jpeg", "png", "tiff", "webp", "avif"
photo = Photo(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))

def everything():
    for kind in FORMATS:
        assert read_photo(encode_photo(photo, kind)).size == photo.size

def busy():
    while not done:
        read_photo(encode_photo(photo, "webp"))

def in_child(work):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    signal.alarm(60)
    try:
        work()
        os._exit(0)
    except ClearAirError as error:
        print(error, flush=True)
        os._exit(3)
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(4)

done = False
threads = [threading.Thread(target=busy) for _ in range(int(sys.argv[1]))]
for thread in threads:
    thread.start()
everything()
ends = []
for pause in (0, 0.3, 0.7):  # idle threads wait in two ways, one after the other
    time.sleep(pause)
    ends.append(in_child(lambda: (everything(), sys.exit(in_child(everything))) if pause else everything()))
    everything()
done = True
print(ends)
"""


def _run(threads, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(threads)],
        capture_output=True,
        text=True,
        timeout=250,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("threads", [0, 3])
def test_forked_children_read_and_write_every_format(threads):
    *said, ends = _run(threads).splitlines()
    assert said == ["SystemExit(0)"] * 2  # a child's own child, too
    assert ends == "[0, 1024, 1024]"


def test_a_child_that_would_wait_for_ever_says_so_at_once():
    *said, ends = _run(0, VIPS_MAX_THREADS="4").splitlines()
    assert ends == "[768, 768, 768]"
    assert ["spawn" in line for line in said] == [True] * 3

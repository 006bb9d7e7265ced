import subprocess
import sys

import pytest

PROGRAM = """
import numpy
from clearair.memory import keep_freed_memory
print(keep_freed_memory(), numpy.ones(3_000_000).sum())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="told to glibc alone")
def test_the_c_library_can_be_told_and_memory_is_still_to_be_had():
    """In a process of its own, since the setting stays."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "3000000.0"]

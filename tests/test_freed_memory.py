import sys

import pytest
import torch

from clearair.memory import keep_freed_memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="told to glibc alone")
def test_the_c_library_can_be_told_and_memory_is_still_to_be_had():
    assert keep_freed_memory()
    for _ in range(3):
        assert torch.ones(3_000_000).sum() == 3_000_000

import platform
from pathlib import Path

import pytest
import torch

from clearair.errors import UsageError
from clearair.runtime import precision
from clearair.runtime.precision import choose_precision, learning_in, learning_precision, learning_type

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("native", "name", "dtype"), [(True, "bf16", torch.bfloat16), (False, "fp32", torch.float32)]
)
def test_bfloat16_is_computed_with_only_where_the_processor_does(monkeypatch, native, name, dtype):
    monkeypatch.setattr(precision, "cpu_computes_bf16", lambda: native)
    assert choose_precision("auto", CPU) == learning_precision(CPU) == name
    assert learning_type(CPU) is dtype
    with learning_in(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is dtype


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads the flags of x86 processors")
@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="reads what Linux says of the processor")
def test_the_processor_is_asked_and_not_guessed():
    flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    assert precision.cpu_computes_bf16() == ("avx512_bf16" in flags or "amx_tile" in flags)


@pytest.mark.parametrize("asked", ["fp32", "bf16", "fp16"])
def test_a_precision_that_is_asked_for_is_taken(asked):
    assert choose_precision(asked, CPU) == asked


def test_a_precision_that_there_is_not_is_named():
    with pytest.raises(UsageError, match="no precision 'int3'"):
        choose_precision("int3", CPU)

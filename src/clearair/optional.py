"""Optional packages, and the fastest backend on this processor."""

from __future__ import annotations

import platform
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from clearair.errors import MissingExtraError


def has_pytorch() -> bool:
    """Whether PyTorch is installed; it is not loaded."""
    return find_spec("torch") is not None


def require_pytorch(what: str) -> None:
    """Raise MissingExtraError, which says that `what` needs PyTorch, where it is not installed."""
    if not has_pytorch():
        raise MissingExtraError(f"{what} needs PyTorch: pip install 'clearair[torch]'")


_LEAST_PYAV = 18
"""Earlier versions of PyAV lose colour tags and display matrices."""


def require_pyav() -> None:
    """Raise MissingExtraError where PyAV, which videos need, is missing or too old; it is not loaded."""
    from importlib import metadata  # takes longer than all of --help

    try:
        version = metadata.version("av")
    except metadata.PackageNotFoundError:
        version = ""
    if find_spec("av") is None or not version:
        raise MissingExtraError("Restoring videos needs PyAV: pip install 'clearair[video]'")
    if int(version.split(".")[0]) < _LEAST_PYAV:
        raise MissingExtraError(
            f"Restoring videos needs PyAV {_LEAST_PYAV}, not {version}: pip install -U 'clearair[video]'"
        )


def pytorch_is_faster() -> bool:
    """Whether PyTorch is installed and probably faster here than ONNX Runtime on the CPU.

    It is on a GPU, and on processors that multiply bfloat16. PyTorch is not loaded, which takes seconds: a
    driver of a GPU counts as one.
    """
    return has_pytorch() and (_has_gpu_driver() or _multiplies_bfloat16())


def _has_gpu_driver() -> bool:
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if sys.platform == "win32":
        return True  # unknown without loading PyTorch
    return any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))


@cache
def _multiplies_bfloat16() -> bool:
    """Whether a Linux kernel names one of the instructions; elsewhere it is not known."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)

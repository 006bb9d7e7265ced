"""Memory that is short, and memory that is no longer needed."""

from __future__ import annotations

import ctypes
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

from clearair.memory import is_shortage


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise MemoryError where PyTorch raises an error of its own for want of memory."""
    try:
        with warnings.catch_warnings():
            # Where oneDNN lacks memory PyTorch multiplies without it, and remarks on it across two lines.
            warnings.filterwarnings("ignore", message="mkldnn_matmul failed")
            yield
    except torch.cuda.OutOfMemoryError as error:
        raise MemoryError("the GPU has too little memory") from error
    except RuntimeError as error:
        if is_shortage(error):
            raise MemoryError("there is too little memory") from error
        raise


def give_back() -> None:
    """Return freed memory to the system.

    glibc keeps what it cannot reuse for tensors of other sizes, which after pictures of many sizes is a lot.
    Elsewhere this does nothing.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None

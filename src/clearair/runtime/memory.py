"""Every way in which PyTorch says that memory is short, as the one Python has for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SIGNS = (
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    "out of memory",
    "could not create a primitive",
)
"""What the RuntimeErrors of its allocators say, of the CPU's, of MPS and of oneDNN."""


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise MemoryError where PyTorch raises an error of its own for want of memory."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise MemoryError("the GPU has too little memory") from error
    except RuntimeError as error:
        if any(sign in str(error) for sign in _SIGNS):
            raise MemoryError("there is too little memory") from error
        raise

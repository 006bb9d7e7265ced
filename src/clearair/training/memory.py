"""Keep memory that a step has freed: the next step wants the same again."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Numbers of these options in glibc's malloc.h."""


def keep_freed_memory() -> bool:
    """Tell the C library not to hand memory back to the system; returns whether it can be told.

    Large blocks would be given back when they are freed, and their pages filled with zeros when they are
    wanted again: a large part of the time of whatever reads and writes more than it computes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))

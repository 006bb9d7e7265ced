"""Memory: how much is free, and whether an error means that it ran out. Needs no PyTorch."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from clearair.errors import OutOfMemoryError

_SIGNS = (
    "allocate memory",
    "alloc_cpu",
    "bad_alloc",
    "enough memory",
    "out of memory",
    "could not create a primitive",
    "could not execute a primitive",
    "failed to map segment",
    "start new thread",
    "creating thread",
    "insufficient memory",
    "memory allocation",
    "failed to allocate",
    "bufferpool",
)
"""Messages about lack of memory, in lower case: from PyTorch's allocators and oneDNN, the loader of shared
libraries, Python and GLib when a thread gets no stack, libvips and its codecs."""

_PYTORCH = 700 << 20
"""Bytes of addresses that PyTorch takes with its first convolution (2.13 on Linux), and a few more."""

JPEG_LIMIT = 256 << 20
"""Size in bytes above which pictures are written as JPEG without optimised Huffman codes."""
JPEG_PIXEL_BYTES = 10
"""Bytes per pixel that this optimisation needs, including the resulting file."""

_PROC_SELF = Path("/proc/self")
_CGROUPS = Path("/sys/fs/cgroup")

NOT_TO_BEGIN_WITH = (
    "there is not enough memory to begin with. Close other programs or raise the limit (ulimit -v)."
)

_TRIM_FROM, _MAP_FROM, _MAPS, _ARENAS = -1, -3, -4, -8
"""M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX and M_ARENA_MAX of glibc's mallopt."""


def is_shortage(said: object) -> bool:
    """Whether an error, or the message of a library, is due to lack of memory."""
    return isinstance(said, MemoryError) or any(sign in str(said).lower() for sign in _SIGNS)


def has_room(size: int) -> bool:
    """Whether `size` bytes can be allocated; they are reserved but not used, which costs nothing."""
    try:
        # An anonymous map; Windows knows no other kind, and no flags.
        private = {} if sys.platform == "win32" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}
        mmap.mmap(-1, size, **private).close()
    except (OSError, OverflowError):
        return False
    return True


def resident() -> int:
    """Resident bytes of this process; 0 if unknown."""
    if sys.platform == "linux":
        return int(_PROC_SELF.joinpath("statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    if sys.platform == "win32":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free_memory() -> int | None:
    """Free bytes for this process, by the machine and by its cgroups.

    None if unknown.
    """
    if sys.platform != "linux":
        return None
    rooms = [*_cgroup_rooms(_PROC_SELF / "cgroup", _CGROUPS)]
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            rooms.append(int(line.split()[1]) << 10)
    return max(0, min(rooms)) if rooms else None


def free_addresses() -> int | None:
    """Bytes of addresses left below the limit of this process (`ulimit -v`); None where there is no limit."""
    if sys.platform != "linux":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    used = int(_PROC_SELF.joinpath("statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return max(0, limit - used)


def _cgroup_rooms(memberships: Path, root: Path) -> Iterator[int]:
    """Free bytes of each memory cgroup, of version 1 or 2, that a process is in."""
    try:
        lines = memberships.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            top, limit, usage, stat = root, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            top, limit, usage = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            stat = "total_inactive_file"
        else:
            continue
        # A container sees its own cgroup as the top one, whatever its path is called outside.
        own = top / path.lstrip("/")
        for folder in (own, *own.parents) if own.is_dir() else (top,):
            if not folder.is_relative_to(top):
                break
            yield from _room_in(folder, limit, usage, stat)


def _room_in(folder: Path, limit: str, usage: str, stat: str) -> Iterator[int]:
    try:
        most = int((folder / limit).read_text())
        used = int((folder / usage).read_text())
        details = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # "max", or a file that this kernel does not have
        return
    yield most - used + int(details.get(stat, 0))  # files that are cached give way


def require_pytorch_room() -> None:
    """Raise OutOfMemoryError where PyTorch could not be loaded: it may end the process instead of failing."""
    keep_to_limit()
    if "torch" not in sys.modules and not has_room(_PYTORCH):
        raise OutOfMemoryError(
            "there is not enough memory to begin with: PyTorch alone takes 0.7 GB. Use --backend onnx, close "
            "other programs or raise the limit (ulimit -v)."
        )


def keep_to_limit() -> bool:
    """Use little address space if it is limited (`ulimit -v`); returns whether it is.

    glibc reserves 64 to 128 MB of addresses for the heap of each thread, used or not, and keeps those of
    freed tensors. Here threads share a heap, and what is larger than 1 MB goes back at once.
    """
    if sys.platform == "win32":
        return False
    import resource

    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return False
    mallopt = _mallopt()
    if mallopt is not None:
        mallopt(_ARENAS, 1)
        mallopt(_MAP_FROM, 1 << 20)
    return True


def keep_freed_memory() -> bool:
    """Tell the C library not to return memory to the system; returns whether that is possible.

    Otherwise large blocks are returned when they are freed, and their pages are zeroed when they are needed
    again. That is a large part of the time of memory-bound work such as training.
    """
    mallopt = _mallopt() if sys.platform.startswith("linux") else None
    return mallopt is not None and bool(mallopt(_MAPS, 0) and mallopt(_TRIM_FROM, 2**31 - 1))


def _mallopt() -> Any:
    """Return glibc's function that sets malloc options; None for another C library."""
    return getattr(ctypes.CDLL(None), "mallopt", None)


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

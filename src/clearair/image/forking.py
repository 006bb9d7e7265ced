"""Forks of a process that uses libvips.

libvips keeps its threads for later work. A forked child has none of them, but its copy of libvips counts them
as idle, gives them work and waits forever. So while a process forks, all threads of libvips are kept busy:
none is counted as idle, and the child starts its own threads.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from clearair.errors import UsageError

_TASKS = Path("/proc/self/task")
_WORKER = "libvips worker"
_PATIENCE = 30.0
"""Seconds that a fork waits for pictures that other threads read or write."""
_REFUSAL = (
    "This process was forked from one that used libvips, in a way that left libvips without its threads. "
    'Start processes with the method "spawn", as with multiprocessing.get_context("spawn"), or read no photo '
    "before the fork."
)
_Task = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class _Forks:
    """State of the use of libvips in this process."""

    def __init__(self, *, cut_off: bool = False) -> None:
        self.changed = threading.Condition()
        self.users: Counter[int] = Counter()
        """How many reads and writes each thread has in progress."""
        self.forking: int | None = None
        """The thread that is about to fork."""
        self.ready = False
        """Whether a child that is forked now can use libvips."""
        self.cut_off = cut_off
        """Whether libvips would wait for threads that this process does not have."""
        self.asked = self.held = 0
        self.task = _Task(self._hold)

    @contextmanager
    def using(self) -> Iterator[None]:
        me = threading.get_ident()
        with self.changed:
            if self.cut_off:
                raise UsageError(_REFUSAL)
            self.changed.wait_for(lambda: self.forking in (None, me) or self.users[me])
            self.ready = False  # after any read, libvips may keep threads
            self.users[me] += 1
        try:
            yield
        finally:
            with self.changed:
                self.users[me] -= 1
                self.changed.notify_all()

    def before(self) -> None:
        """Wait for reads and writes to end, block new ones, and hold the threads of libvips."""
        me = threading.get_ident()
        with self.changed:
            self.changed.wait_for(lambda: self.forking is None)
            self.forking, self.ready = me, False
            if "pyvips" not in sys.modules:
                self.ready = True
            elif not self.cut_off and self.changed.wait_for(lambda: not self.users.total(), self._patience()):
                self.ready = self._hold_workers()

    def _patience(self) -> float:
        return 0 if self.users[threading.get_ident()] else _PATIENCE

    def after_in_parent(self) -> None:
        with self.changed:
            self.forking = None
            self.changed.notify_all()

    def _hold_workers(self) -> bool:
        """Whether every thread of libvips is held now."""
        run = _thread_execute()
        if run is None or not _TASKS.is_dir() or "VIPS_MAX_THREADS" in os.environ:
            return False  # with that limit, a child would start no threads
        while (missing := _count_workers() - self.held) > 0:
            for _ in range(missing):
                if run(b"fork", self.task, None):
                    return False
                self.asked += 1
            if not self.changed.wait_for(lambda: self.held == self.asked, _PATIENCE):
                return False
        return True

    def _hold(self, *_: Any) -> None:
        """Run in a thread of libvips: stay until the process has forked."""
        with self.changed:
            self.held += 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.forking is None)
            self.held -= 1
            self.asked -= 1


def _thread_execute() -> Callable[..., int] | None:
    """libvips' function that runs a task in one of its threads; pyvips does not offer it."""
    import pyvips

    module = sys.modules.get("_libvips") if pyvips.API_mode else None
    try:
        library = ctypes.CDLL(str(module.__file__) if module else pyvips.library_name("vips", 42))
        run = library.vips_thread_execute
    except (OSError, AttributeError):
        return None
    run.argtypes, run.restype = (ctypes.c_char_p, _Task, ctypes.c_void_p), ctypes.c_int
    return run


def _count_workers() -> int:
    """How many threads libvips has in this process."""
    count = 0
    for task in list(_TASKS.iterdir()):
        with suppress(OSError):  # it has ended
            count += (task / "comm").read_text().rstrip("\n") == _WORKER
    return count


_forks = _Forks()


def using_libvips() -> AbstractContextManager[None]:
    """Read or write with libvips without being interrupted by a fork of the process.

    Raises UsageError in a forked child in which libvips would wait forever.
    """
    return _forks.using()


def _after_in_child() -> None:
    global _forks
    _forks = _Forks(cut_off=not _forks.ready)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _forks.before(),
        after_in_parent=lambda: _forks.after_in_parent(),
        after_in_child=_after_in_child,
    )

"""Waiting for a store, which may never answer, only as long as the answer is needed."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_PATIENCE = 0.2
"""Seconds between two checks of a waiting thread whether to stop."""
_waiting = threading.local()


@contextmanager
def until(stop: threading.Event) -> Iterator[None]:
    """Let this thread wait for a store only until `stop` is set. Writes are always finished."""
    _waiting.stop = stop
    try:
        yield
    finally:
        _waiting.stop = None


def ask(system: Any, method: str, *values: Any, **options: Any) -> Any:
    """The answer of an fsspec file system. Raises InterruptedError once it is no longer needed."""
    stop: threading.Event | None = getattr(_waiting, "stop", None)
    if stop is None or not getattr(system, "async_impl", False):
        return getattr(system, method)(*values, **options)
    import asyncio

    work = asyncio.run_coroutine_threadsafe(getattr(system, f"_{method}")(*values, **options), system.loop)
    while True:
        try:
            return work.result(_PATIENCE)
        except TimeoutError:
            if work.done():
                return work.result()  # it came after the time was up, or is the store's own timeout
            if stop.is_set():
                work.cancel()
                raise InterruptedError(errno.EINTR, "given up") from None

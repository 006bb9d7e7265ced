"""Writes the body of a request to an unnamed file, within its limits."""

from __future__ import annotations

import asyncio
import errno
import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from starlette.requests import ClientDisconnect, Request

from clearair.apps.server.problems import NO_SPACE, ProblemError
from clearair.apps.server.settings import Limits

_log = logging.getLogger(__name__)

_CHUNK = 1 << 20
"""Bytes that are written at once, in a thread."""
_DRAINED = 5.0
"""Seconds in which the rest of a refused body is read and discarded: a client that is still sending would not
read the response."""


def check_headers(request: Request, limits: Limits) -> None:
    """Refuse a body because of its headers. Raises ProblemError."""
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise ProblemError.of("wrong-type")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProblemError.of("encoded")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.bytes:
        raise ProblemError.of("too-many-bytes", limit=limits.bytes)


def spool_file(folder: Path | None) -> BinaryIO:
    """An unnamed file, which disappears with its descriptors, even after a crash."""
    try:
        return cast(BinaryIO, tempfile.TemporaryFile(dir=folder, prefix="clearair-"))
    except OSError as error:
        raise _on_disk(error) from error


async def receive(request: Request, limits: Limits, folder: Path | None) -> BinaryIO:
    """The body of a request as a file, at its start. Raises ProblemError and ClientDisconnect."""
    file = spool_file(folder)
    try:
        async with asyncio.timeout(limits.upload_seconds) as deadline:
            await _receive(request, limits, file, deadline)
    except TimeoutError as error:
        file.close()
        raise ProblemError.of("stalled", headers={"Connection": "close"}) from error
    except OSError as error:
        file.close()
        raise _on_disk(error) from error
    except BaseException:
        file.close()
        raise
    return file


async def _receive(request: Request, limits: Limits, file: BinaryIO, deadline: asyncio.Timeout) -> None:
    waiting, size, earliest = bytearray(), 0, deadline.when() or 0.0
    async for chunk in _unstalled(request, limits.stall_seconds):
        size += len(chunk)
        # A fast start allows no pause later that is longer than the time of a whole upload.
        latest = asyncio.get_running_loop().time() + limits.upload_seconds
        deadline.reschedule(min(earliest + size / limits.upload_rate, latest))
        if size > limits.bytes:
            raise ProblemError.of("too-many-bytes", limit=limits.bytes)
        waiting += chunk
        if len(waiting) >= _CHUNK:
            await asyncio.to_thread(file.write, bytes(waiting))
            waiting.clear()
    if not size:
        raise ProblemError.of("empty")
    await asyncio.to_thread(_finish, file, bytes(waiting))


def _finish(file: BinaryIO, rest: bytes) -> None:
    file.write(rest)
    file.flush()
    file.seek(0)


async def _unstalled(request: Request, seconds: float) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(seconds):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        yield chunk


async def drain(request: Request, limits: Limits) -> None:
    """Read the rest of an unwanted body, if that is quick."""
    if "expect" in request.headers:
        return  # the client waits for our response before it sends
    left = limits.bytes
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(_DRAINED):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return


def _on_disk(error: OSError) -> ProblemError:
    if error.errno in NO_SPACE:
        return ProblemError.of("no-space")
    _log.error("a temporary file cannot be written: %s", error)
    return ProblemError.of("not-ready" if error.errno in (errno.EMFILE, errno.ENFILE) else "bug")

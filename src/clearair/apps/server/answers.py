"""Responses other than plain JSON: problem documents, and files that are sent in pieces."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import BinaryIO

from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from clearair.apps.server.problems import MEDIA_TYPE, ProblemError

_PIECE = 1 << 18


def answer_problem(problem: ProblemError) -> JSONResponse:
    """A problem document."""
    return JSONResponse(problem.to_dict(), problem.status, problem.headers, MEDIA_TYPE)


def answer_file(file: BinaryIO, media_type: str, headers: dict[str, str] | None = None) -> StreamingResponse:
    """What a file holds; it may be closed meanwhile, since the answer has a descriptor of its own."""
    descriptor = os.dup(file.fileno())
    size = os.fstat(descriptor).st_size
    return _FileAnswer(
        _pieces(descriptor, size), descriptor, media_type, {"Content-Length": str(size), **(headers or {})}
    )


async def _pieces(descriptor: int, size: int) -> AsyncIterator[bytes]:
    at = 0
    while at < size:
        piece = await asyncio.to_thread(os.pread, descriptor, _PIECE, at)
        if not piece:
            return
        at += len(piece)
        yield piece


class _FileAnswer(StreamingResponse):
    """Closes its descriptor, also when the client leaves before the first piece."""

    def __init__(
        self, pieces: AsyncIterator[bytes], descriptor: int, media_type: str, headers: dict[str, str]
    ) -> None:
        super().__init__(pieces, headers=headers, media_type=media_type)
        self._descriptor = descriptor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            pass  # the server ends, and has said so
        finally:
            os.close(self._descriptor)

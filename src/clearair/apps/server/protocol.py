"""HTTP/1.1 with time limits for clients, and no more connections than there are descriptors for."""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress
from functools import cache
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from clearair.apps.server.answers import answer_problem
from clearair.apps.server.guard import SECURITY_HEADERS
from clearair.apps.server.problems import ProblemError

HEAD_SECONDS = 10.0
"""Seconds that the head of a request may take."""
LINGER_SECONDS = 5.0
"""Seconds in which a client may still read an answer that came before its request was complete."""
SEND_SECONDS = 60.0
"""Seconds in which a client must take a piece of an answer, or the rest of it."""

_SECURITY = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class PatientProtocol(H11Protocol):
    """Ends connections with an incomplete head, a body that outlasts the response, or an unread response.

    It refuses those beyond the limit.
    """

    _timer: asyncio.TimerHandle | None = None
    _sending: asyncio.TimerHandle | None = None
    _lingers = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(_PatientTransport(transport, self))  # type: ignore[arg-type]
        if len(self.connections) > most_connections():
            transport.abort()
            return
        self._end_in(HEAD_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request."""
        if self._lingers:
            return  # not needed any more
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._go_on()
        elif self.conn.trailing_data[0]:
            self._end_in(HEAD_SECONDS)

    def on_response_complete(self) -> None:
        """An answer is sent; a connection that lingers ends by its own time."""
        super().on_response_complete()
        if self._lingers and self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def linger(self) -> bool:
        """Stop sending, and discard further input: closing at once could lose the response.

        Returns False when there is nothing to wait for.
        """
        if self._lingers or self.conn.their_state is not h11.SEND_BODY or self.transport.is_closing():
            return False
        self._lingers = True
        with suppress(OSError):  # the client has gone
            self.transport.write_eof()
        self.flow.resume_reading()
        self._go_on()
        self._end_in(LINGER_SECONDS)
        return True

    def pause_writing(self) -> None:
        """The client does not read as fast as the server sends."""
        super().pause_writing()
        self.expect_reading()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self.transport.is_closing():
            self.expect_reading()  # the rest of the answer
        else:
            self._stop_expecting()

    def expect_reading(self) -> None:
        """End the connection if what is sent stays unread."""
        self._stop_expecting()
        self._sending = self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        super().connection_lost(exc)
        self._go_on()
        self._stop_expecting()

    def _stop_expecting(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP with a problem document, and end the connection."""
        problem = answer_problem(ProblemError.of_status(400, msg))
        headers = [*problem.raw_headers, *_SECURITY, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=bytes(problem.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """uvicorn would advise to install a library, which would change nothing here."""

    def _end_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(seconds, self.transport.close)

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _PatientTransport:
    """A transport that waits before it is closed while a client still sends."""

    def __init__(self, transport: asyncio.Transport, protocol: PatientProtocol) -> None:
        self._transport = transport
        self._protocol = protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        if not self._protocol.linger() and not self._transport.is_closing():
            self._transport.close()  # once what is written has been read
            self._protocol.expect_reading()


def raise_limit() -> None:
    """Raise the limit of open files as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@cache
def most_files() -> int:
    """How many files the process may have open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 16 if limit == resource.RLIM_INFINITY else min(limit, 1 << 16)


def most_connections() -> int:
    """A third of the files may be connections; another third are results that are kept."""
    return max(8, most_files() // 3)

"""Start a server, say where it is, and end it in good order."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from types import FrameType

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from clearair.apps.server.app import build_app
from clearair.apps.server.service import Service
from clearair.apps.server.settings import Settings
from clearair.errors import ClearAirError, UsageError

_HEAD_SECONDS = 10.0
"""Seconds that the head of a request may take."""

OnStart = Callable[[str], None]
"""Told the address of the page once the server answers."""


def run(settings: Settings, on_start: OnStart) -> None:
    """Serve until SIGTERM or Ctrl-C; a second one ends at once.

    Raises UsageError for an address that cannot be had, ModelError for a model that cannot be loaded.
    """
    listener = _listen(settings)
    try:
        asyncio.run(_serve(settings, listener, on_start))
    finally:
        listener.close()


async def _serve(settings: Settings, listener: socket.socket, on_start: OnStart) -> None:
    service = Service(settings)
    await service.start()
    try:
        await _Server(settings, service, on_start).serve(sockets=[listener])
    finally:
        await service.stop()


class _Protocol(H11Protocol):
    """HTTP/1.1 for clients that finish what they begin: a head that stays incomplete ends the connection."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._timer is not None and self.conn.their_state is not h11.IDLE:
            self._timer.cancel()
            self._timer = None
        elif self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def _wait_for_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(_HEAD_SECONDS, self.transport.close)


class _Server(uvicorn.Server):
    """uvicorn, which tells the service at once when it is to end."""

    def __init__(self, settings: Settings, service: Service, on_start: OnStart) -> None:
        config = uvicorn.Config(
            build_app(service),
            lifespan="off",
            log_level="info" if settings.access_log else "warning",
            access_log=settings.access_log,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            timeout_graceful_shutdown=settings.shutdown_seconds,
            ws="none",
            http=_Protocol,
        )
        super().__init__(config)
        self._service = service
        self._on_start = on_start
        self._seconds = settings.shutdown_seconds
        self._ending = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            self._on_start(address_of(sockets[0]))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal ends the server gently, the second at once."""
        if self._ending:
            super().handle_exit(sig, frame)
            return
        self._ending = True
        asyncio.get_event_loop().call_soon_threadsafe(self._begin_to_end)

    def _begin_to_end(self) -> None:
        self._end = asyncio.create_task(self._finish())

    async def _finish(self) -> None:
        """Finish what runs, let clients fetch it, and only then stop to listen."""
        await self._service.wind_down(self._seconds)
        self.should_exit = True


def address_of(listener: socket.socket) -> str:
    """The address of the page, as a browser takes it."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(f"{host}: there is no such address on this machine ({error.strerror}).") from error
    family, kind, protocol, _, address = _preferred(found)
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(256)
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        why = "another program has it; choose another --port" if taken else os.strerror(error.errno or 0)
        raise ClearAirError(f"{host}:{port}: cannot be listened at: {why}.") from error
    return listener


def _preferred(found: list[tuple]) -> tuple:  # type: ignore[type-arg]
    """Of the addresses of a name, one of IPv4, since browsers try it for localhost, too."""
    return next((each for each in found if each[0] == socket.AF_INET), found[0])

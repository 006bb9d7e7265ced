"""Start a server, print its address, and shut it down cleanly."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import tempfile
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from clearair.apps.server.app import build_app
from clearair.apps.server.problems import ProblemError
from clearair.apps.server.protocol import PatientProtocol, raise_limit
from clearair.apps.server.service import Service
from clearair.apps.server.settings import Settings
from clearair.apps.server.uploads import spool_file
from clearair.errors import ClearAirError, OutputError, UsageError

_LAST_ANSWERS = 5
"""Seconds for responses that are still being sent after the work has ended."""

OnStart = Callable[[str], None]
"""Called with the address of the page once the server answers."""


def run(settings: Settings, on_start: OnStart) -> bool:
    """Serve until SIGTERM or Ctrl-C, and return whether a second one has ended it at once.

    Raises UsageError for an address that is not available, ModelError for a model that cannot be loaded,
    OutputError for a folder that takes no temporary files.
    """
    raise_limit()
    _check_spool(settings)
    listener = _listen(settings)
    try:
        return asyncio.run(_serve(settings, listener, on_start))
    finally:
        listener.close()


def _check_spool(settings: Settings) -> None:
    try:
        spool_file(settings.spool).close()
    except ProblemError as error:
        where = settings.spool or tempfile.gettempdir()
        raise OutputError(f"{where}: takes no temporary files; name another folder with --temp.") from error


async def _serve(settings: Settings, listener: socket.socket, on_start: OnStart) -> bool:
    service = Service(settings)
    await service.start()
    server = _Server(settings, service, on_start)
    try:
        await server.serve(sockets=[listener])
    finally:
        await service.stop(at_once=server.force_exit)
    return bool(server.force_exit)


class _Server(uvicorn.Server):
    """uvicorn, which notifies the service immediately of a shutdown."""

    def __init__(self, settings: Settings, service: Service, on_start: OnStart) -> None:
        config = uvicorn.Config(
            build_app(service),
            lifespan="off",
            log_level="info" if settings.access_log else "warning",
            access_log=settings.access_log,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            timeout_graceful_shutdown=_LAST_ANSWERS,
            ws="none",
            http=PatientProtocol,
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
            self.force_exit = self.should_exit = True
            return
        self._ending = True
        asyncio.get_event_loop().call_soon_threadsafe(self._begin_to_end)

    def _begin_to_end(self) -> None:
        self._end = asyncio.create_task(self._finish())

    async def _finish(self) -> None:
        """Finish running jobs, let clients fetch the results, and only then stop listening."""
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
        why = "another program uses it; choose another --port" if taken else os.strerror(error.errno or 0)
        raise ClearAirError(f"{host}:{port}: cannot listen there: {why}.") from error
    return listener


def _preferred(found: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The preferred address of a name: IPv4, which browsers also try for localhost."""
    return next((each for each in found if each[0] == socket.AF_INET), found[0])

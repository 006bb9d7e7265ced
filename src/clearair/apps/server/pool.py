"""Worker processes, each for one picture at a time, stopped and replaced when necessary."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from clearair.apps.server.messages import BrokenMessageError, Lines, encode
from clearair.apps.server.problems import ProblemError
from clearair.errors import ClearAirError, ModelError, UsageError

OnProgress = Callable[[int, int], None]
"""Called after each tile: tiles done, tiles in total."""

_GRACE = 5.0
"""Seconds that a worker has to leave a cancelled task: decoding and encoding cannot be interrupted."""
_LOADING = 120.0
"""Seconds that a worker has to load its model."""
_PAUSE = 1.0
"""Seconds before a worker is started again that failed to start."""

_TASKS = 5000
"""Tasks after which a process is replaced by a new one, as libraries lose a little memory with each file."""
_NO_START = "A worker process of the server could not be started"

_log = logging.getLogger(__name__)


class DeadError(Exception):
    """The worker ended in the middle of a task."""


class LateError(Exception):
    """A task took longer than it may."""


class OverrunError(Exception):
    """The worker used up the CPU time that it set itself for a task."""


class Worker:
    """One child process; it is started again when it dies."""

    def __init__(self, setup: dict[str, Any], hidden: Sequence[str] = ()) -> None:
        """`setup` is sent to `worker.py` at the start; `hidden` environment variables are not passed on."""
        self._setup = setup
        self._hidden = hidden
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._lines = Lines()
        self._task = self._done = 0
        self._reviving = asyncio.Lock()
        self.restarts = 0
        self.broken = False
        """Whether it could not be started again the last time."""
        self.kinds: tuple[str, ...] = ()
        """The kinds of damage that its model knows."""

    @property
    def ready(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The number of its process; None while there is none."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises ClearAirError when it cannot be."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        environment = {name: value for name, value in os.environ.items() if name not in self._hidden}
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "clearair.apps.server.worker",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            ours.close()
            raise ClearAirError(f"{_NO_START} ({error.strerror}).") from error
        finally:
            theirs.close()
        self._socket, self._lines, self._done = ours, Lines(), 0
        try:
            ours.send(encode(self._setup))
            async with asyncio.timeout(_LOADING):
                message = await self._receive()
        except (DeadError, TimeoutError, OSError) as error:
            await self.kill()
            raise ClearAirError(f"{_NO_START}.") from error
        if failed := message.get("failed"):
            await self.kill()
            kinds = {ModelError.exit_code: ModelError, UsageError.exit_code: UsageError}
            raise kinds.get(failed.get("exit_code"), ClearAirError)(failed["message"])
        self.kinds = tuple(map(str, message.get("kinds", ())))

    async def run(
        self,
        name: str,
        options: dict[str, Any],
        files: Sequence[BinaryIO],
        *,
        seconds: float,
        grace: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Run a task and return its answer.

        When this is cancelled, or after `seconds`, the task is stopped: between two tiles, or together with
        the process if that takes longer than `grace` seconds. Raises ProblemError when the worker refuses the
        task, LateError after `seconds`, OverrunError when it used up its CPU time.
        """
        await self.revive()
        self._task += 1
        self._done += 1
        number = self._task
        try:
            async with asyncio.timeout(seconds):
                self._send({"task": number, "name": name, "options": options}, files)
                answer = await self._answer(number, on_progress)
        except (asyncio.CancelledError, TimeoutError) as error:
            await asyncio.shield(self._stop(number, _GRACE if grace is None else grace))
            if isinstance(error, asyncio.CancelledError):
                raise
            raise LateError from error
        except (DeadError, BrokenMessageError, OSError) as error:
            if await self.kill() == -signal.SIGXCPU and "seconds" in options:
                raise OverrunError from error
            _log.warning("a worker process ended while it worked on a picture (%s)", type(error).__name__)
            raise ProblemError.of("crashed") from error
        if refused := answer.get("error"):
            raise ProblemError.from_worker(refused)
        done: dict[str, Any] = answer["done"]
        return done

    async def _answer(self, number: int, on_progress: OnProgress | None) -> dict[str, Any]:
        while True:
            message = await self._receive()
            if message.get("task") != number:
                continue
            progress = message.get("progress")
            if progress is None:
                return message
            if on_progress is not None:
                on_progress(int(progress[0]), int(progress[1]))

    def _send(self, message: dict[str, Any], files: Sequence[BinaryIO] = ()) -> None:
        if self._socket is None:
            raise DeadError
        line = encode(message)
        # Far smaller than the buffer of the socket, which is otherwise empty.
        if files:
            socket.send_fds(self._socket, [line], [file.fileno() for file in files])
        else:
            self._socket.send(line)

    async def _receive(self) -> dict[str, Any]:
        if self._socket is None:
            raise DeadError
        waiting = self._lines.take()
        while waiting is None:
            try:
                data = await asyncio.get_running_loop().sock_recv(self._socket, 1 << 16)
            except OSError as error:
                raise DeadError from error
            if not data:
                raise DeadError
            self._lines.feed(data)
            waiting = self._lines.take()
        return waiting

    async def _stop(self, number: int, grace: float) -> None:
        """End a task, and its process too if the task does not end by itself."""
        try:
            async with asyncio.timeout(grace):
                self._send({"cancel": number})
                await self._answer(number, None)
        except (TimeoutError, DeadError, BrokenMessageError, OSError):
            await self.kill()

    async def revive(self) -> None:
        """Start the process again if it has ended. Raises ProblemError when that fails."""
        async with self._reviving:
            if self.ready and self._done < _TASKS:
                return
            if not self.ready:
                self.restarts += 1
            await self.kill()  # or what is left of it
            try:
                await self.start()
            except ClearAirError as error:
                self.broken = True
                _log.error("%s", error)
                await asyncio.sleep(_PAUSE)
                raise ProblemError.of("not-ready") from error
            self.broken = False

    async def kill(self) -> int | None:
        """End the process at once. Returns its exit status, minus the signal that ended it."""
        status = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            status = await self._process.wait()
            self._process = None
        return status

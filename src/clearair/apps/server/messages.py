"""Messages between the server and its workers: a line of JSON each, with files as descriptors.

JSON, because a picture may have compromised the worker that decodes it: no message can run code in the
server.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from typing import Any

LONGEST = 1 << 20
"""Bytes of a message."""


def encode(message: dict[str, Any]) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


class BrokenMessageError(Exception):
    """The received data is not a valid message."""


class Lines:
    """Parses messages from received bytes."""

    def __init__(self) -> None:
        self._rest = b""
        self._complete: deque[dict[str, Any]] = deque()

    def take(self) -> dict[str, Any] | None:
        """The next complete message, or None."""
        return self._complete.popleft() if self._complete else None

    def feed(self, data: bytes) -> None:
        """Add received bytes. Raises BrokenMessageError."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST:
            raise BrokenMessageError("a message without an end")
        try:
            messages = [json.loads(line) for line in lines]
        except ValueError as error:
            raise BrokenMessageError("a message that is not JSON") from error
        if not all(isinstance(message, dict) for message in messages):
            raise BrokenMessageError("a message that is not an object")
        self._complete.extend(messages)


class Channel:
    """The worker's end, which blocks."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lines = Lines()
        self._waiting: list[tuple[dict[str, Any], list[int]]] = []

    def send(self, message: dict[str, Any]) -> None:
        """Say something."""
        self._socket.sendall(encode(message))

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """The next message and the descriptors that came with it. Raises EOFError at the end."""
        while not self._waiting:
            self._read()
        return self._waiting.pop(0)

    def pending(self) -> dict[str, Any] | None:
        """A message that has already arrived, without its files, or None. Raises EOFError."""
        self._socket.setblocking(False)
        try:
            while not self._waiting:
                self._read()
        except BlockingIOError:
            return None
        finally:
            self._socket.setblocking(True)
        return self._waiting.pop(0)[0]

    def _read(self) -> None:
        data, files, _, _ = socket.recv_fds(self._socket, 1 << 16, 16)
        if not data:
            raise EOFError
        self._lines.feed(data)
        while (message := self._lines.take()) is not None:
            self._waiting.append((message, files))
            files = []

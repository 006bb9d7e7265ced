"""Ctrl-C and SIGTERM, none of which is lost, and none of which breaks into what is being written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], Any]


class Interrupts:
    """While entered, a signal interrupts at once inside `at_once`, elsewhere at the next `check` or the end.

    libvips calls back into Python, where an exception is printed and forgotten: a signal that raised there
    would end nothing. The second signal interrupts wherever it comes; later ones change nothing any more.
    What is raised is up to the handler of before. Signals reach the main thread alone, so in another one this
    does nothing.
    """

    def __init__(self) -> None:
        self._before: dict[int, Handler] = {}
        self._asked: tuple[int, FrameType | None] | None = None
        self._at_once = False
        self._raised = False

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in SIGNALS}
            # One that is ignored, as in what a shell runs in the background, stays so.
            self._before = {number: handler for number, handler in handlers.items() if callable(handler)}
            for number in self._before:
                signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._note:  # the handler of before may have put another there
                signal.signal(number, handler)
        if kind is None:
            self.check()

    def check(self) -> None:
        """Interrupt if a signal has come."""
        if self._asked is not None:
            self._raised = True
            number, frame = self._asked
            self._before[number](number, frame)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """For what takes long, calls nothing that calls back, and leaves nothing half done."""
        self._at_once = True  # before the check: a signal in between would wait
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        is_first, self._asked = self._asked is None, (number, frame)
        if not self._raised and (self._at_once or not is_first):
            self.check()

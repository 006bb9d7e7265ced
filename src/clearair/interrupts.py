"""Ctrl-C and SIGTERM: no signal is lost, and none interrupts a write."""

from __future__ import annotations

import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], Any]


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends work the way Ctrl-C does."""


class _Signals(ABC):
    """While entered, receives both signals instead of the previous handlers.

    Signals reach the main thread alone, so in another one this does nothing.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def _take(self) -> None:
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in SIGNALS}
            self._before = {number: handler for number, handler in handlers.items() if self._takes(handler)}
            for number in self._before:
                signal.signal(number, self._note)

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._note:  # the previous handler may have installed another one
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _takes(self, handler: Any) -> bool:
        """Whether a signal with this handler must be handled."""
        return True

    @abstractmethod
    def _note(self, number: int, frame: FrameType | None) -> None:
        """A signal has come."""


class StopRequest(_Signals):
    """While entered, the first signal only asks for an end; a second one interrupts at once.

    SIGINT is handled even where it was ignored, as shells do for background jobs, so that `kill -INT` works.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked = False
        """Whether a signal has come."""
        self.terminated = False
        """Whether it was SIGTERM."""

    def __enter__(self) -> StopRequest:
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        self.asked, self.terminated = True, number == signal.SIGTERM


class Interrupts(_Signals):
    """While entered, a signal interrupts at once inside `at_once`, elsewhere at the next `check` or the end.

    libvips calls back into Python, where an exception is printed and forgotten: a signal that raised there
    would end nothing. The second signal interrupts wherever it comes; later ones change nothing any more.
    The previous handler decides what is raised.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked: tuple[int, FrameType | None] | None = None
        self._at_once = False
        self._raised = False

    def __enter__(self) -> Interrupts:
        self._take()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._give_back()
        if kind is None:
            self.check()

    def check(self) -> None:
        """Interrupt if a signal has come."""
        if self._asked is not None:
            self._raised = True
            number, frame = self._asked
            handler: Handler = self._before[number]
            handler(number, frame)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """For long work without callbacks that leaves nothing half done when it is interrupted."""
        self._at_once = True  # before the check: a signal in between would wait
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    def _takes(self, handler: Any) -> bool:
        return callable(handler)  # one that is ignored, as in what a shell runs in the background, stays so

    def _note(self, number: int, frame: FrameType | None) -> None:
        is_first, self._asked = self._asked is None, (number, frame)
        if not self._raised and (self._at_once or not is_first):
            self.check()

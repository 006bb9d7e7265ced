"""A progress line on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from clearair.apps.cli.lines import one_line
from clearair.files.watcher import Watcher

if TYPE_CHECKING:
    from clearair.files.outputs import Job
    from clearair.files.record import Record

INTERVAL = 0.1  # seconds between two redrawings


class StatusLine:
    """One line on stderr that is drawn again and again, when it is a terminal; otherwise nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self._visible = not quiet and sys.stderr.isatty()

    def say(self, text: str) -> None:
        """Replace the line."""
        self._draw(one_line(text))

    def clear(self) -> None:
        """Clear the line for other output."""
        self._draw("")

    def _draw(self, line: str) -> None:
        if self._visible:
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()


class Progress(StatusLine, Watcher):
    """Shows pictures, tiles and the time left."""

    def __init__(self, pictures: int, *, quiet: bool, keep: bool = True) -> None:
        """`keep` the records, which are few enough to stay in memory."""
        super().__init__(quiet=quiet)
        self.pictures = pictures
        self.finished = 0
        self._keep = keep
        self.number = 0
        self.name = ""
        self.began = self.drawn = time.monotonic()
        self.records: list[Record] = []
        """Of finished files, including those that were still being written when the run was interrupted."""

    def start(self, job: Job) -> None:
        """The next picture."""
        self.number, self.name = self.number + 1, one_line(job.source.name)
        left = self._left(self.finished) if self.finished else ""
        self._draw(f"[{self.number}/{self.pictures}] {self.name}  {left}".rstrip())

    def tile(self, done: int, total: int) -> None:
        """Show how many tiles of the picture are done."""
        now = time.monotonic()
        if now - self.drawn < INTERVAL and done < total:
            return
        self.drawn = now
        left = self._left(self.number - 1 + done / total)
        self._draw(f"[{self.number}/{self.pictures}] {self.name}  tile {done}/{total}  {left}")

    def finish(self, record: Record) -> None:
        """Record the result of a picture."""
        self.finished += 1
        if self._keep:
            self.records.append(record)

    def done(self, text: str) -> None:
        """Report one more finished picture without tile progress; `text` is its result."""
        self.number += 1
        self._draw(f"[{self.number}/{self.pictures}] {one_line(text)}  {self._left(self.number)}")

    def _left(self, pictures: float) -> str:
        """The remaining time, estimated from the pictures done so far."""
        share = pictures / self.pictures
        return time_left((time.monotonic() - self.began) * (1 - share) / share)


def time_left(seconds: float) -> str:
    """Such as "2:07 left", or "1:02:07 left" from an hour on."""
    minutes, seconds = divmod(int(seconds), 60)
    clock = f"{minutes // 60}:{minutes % 60:02d}" if minutes >= 60 else f"{minutes}"
    return f"{clock}:{seconds:02d} left"

"""What follows a video on its way."""

from __future__ import annotations

from typing import Protocol


class VideoWatcher(Protocol):
    """Is told how far a video is."""

    def looked(self, frames: int, announced: int) -> None:
        """So many frames were looked at; the file announces so many, 0 where it does not."""

    def restored(self, frames: int, total: int, done_before: int) -> None:
        """So many frames are done, of which so many by an earlier run."""


class Nobody:
    """Takes no notice."""

    def looked(self, frames: int, announced: int) -> None:
        """Does nothing."""

    def restored(self, frames: int, total: int, done_before: int) -> None:
        """Does nothing."""

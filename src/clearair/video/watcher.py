"""Interface for progress of a video."""

from __future__ import annotations

from typing import Protocol


class VideoWatcher(Protocol):
    """Receives the progress of a video."""

    def looked(self, frames: int, announced: int) -> None:
        """Number of analysed frames, and the number that the file announces, 0 if unknown."""

    def restored(self, frames: int, total: int, done_before: int) -> None:
        """Number of finished frames, and how many of them are from an earlier run."""


class SilentWatcher:
    """Takes no notice."""

    def looked(self, frames: int, announced: int) -> None:
        """Does nothing."""

    def restored(self, frames: int, total: int, done_before: int) -> None:
        """Does nothing."""

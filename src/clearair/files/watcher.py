"""Interface for progress of a batch. Imports nothing slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearair.files.outputs import Job
    from clearair.files.record import Record


class Watcher:
    """Receives the progress of a batch, from several threads if several pictures are restored at once.

    This one does nothing.
    """

    def start(self, job: Job) -> None:
        """The picture of this job is about to be restored."""

    def tile(self, done: int, total: int) -> None:
        """Number of its finished tiles; not called when several pictures are restored at once."""

    def finish(self, record: Record) -> None:
        """The record of a finished file; called by the thread that wrote it, before the record is yielded."""

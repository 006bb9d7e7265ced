"""What follows a batch. Needs nothing that takes long to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearair.files.outputs import Job
    from clearair.files.record import Record


class Watcher:
    """Is told how far a batch is, by several threads where several pictures are restored at once.

    This one does nothing.
    """

    def start(self, job: Job) -> None:
        """The picture of this job is restored now."""

    def tile(self, done: int, total: int) -> None:
        """So many tiles of it are done; not told where several pictures are restored at once."""

    def finish(self, record: Record) -> None:
        """What became of one more file; comes from the thread that wrote it, before the record is yielded."""

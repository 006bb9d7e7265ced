"""The record of one file of a batch, and a summary of all in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from clearair.outcome import Outcome

SCHEMA_VERSION = 2
"""Of a record in a report. 1 had no `status`, and called `percepts` `found`."""


class Status(StrEnum):
    """The status of a file, in one word."""

    RESTORED = "restored"
    LEFT = "left"
    """As it was: no pixel differs."""
    SKIPPED = "skipped"
    """Its result already existed."""
    FAILED = "failed"
    UNFINISHED = "unfinished"
    """The run ended before its turn."""


@dataclass(frozen=True)
class Record:
    """The record of one file."""

    input: str
    output: str | None
    """None when nothing was written."""
    width: int | None = None
    height: int | None = None
    """Upright size in pixels; None when the picture was not read."""
    seconds: float = 0.0
    """Spent on reading, restoring and writing it."""
    percepts: dict[str, Any] = field(default_factory=dict)
    """What was perceived in it, as plain values: quality score, degradations, regions."""
    outcome: Outcome | None = None
    """What was found and what was done; None when it was not restored, or had been before."""
    error: str | None = None
    skipped: bool = False
    """Whether the output already existed in a resumed run."""
    unfinished: bool = False
    """Whether the run ended before its turn."""
    notes: tuple[str, ...] = ()
    """What was converted or left out on the way."""
    left_out: tuple[str, ...] = ()
    """Data of the input, besides pixels, that the output lacks, such as "video (motion photo)"."""

    @property
    def found(self) -> dict[str, float]:
        """Probabilities of the kinds of damage that spoke for a change, surest first."""
        return {} if self.outcome is None else self.outcome.found

    @property
    def status(self) -> Status:
        """Its status, in one word."""
        if self.error is not None:
            return Status.FAILED
        if self.skipped:
            return Status.SKIPPED
        if self.unfinished or self.outcome is None:
            return Status.UNFINISHED
        return Status.RESTORED if self.outcome.restored else Status.LEFT

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what was found is in `outcome`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "input": self.input,
            "output": self.output,
            "status": self.status.value,
            "width": self.width,
            "height": self.height,
            "seconds": round(self.seconds, 3),
            "percepts": self.percepts,
            "outcome": None if self.outcome is None else self.outcome.to_dict(),
            "error": self.error,
            "skipped": self.skipped,
            "notes": list(self.notes),
            "left_out": list(self.left_out),
        }


def counted(records: Sequence[Record]) -> str:
    """Such as "12 photos: 9 restored, 2 left as they are, 1 failed"."""
    counts = {status: sum(record.status is status for record in records) for status in Status}
    words = {
        Status.RESTORED: "restored",
        Status.LEFT: "left as it is" if counts[Status.LEFT] == 1 else "left as they are",
        Status.SKIPPED: "there already",
        Status.FAILED: "failed",
        Status.UNFINISHED: "not finished",
    }
    told = ", ".join(f"{counts[status]:,} {what}" for status, what in words.items() if counts[status])
    return f"{len(records):,} photo{'' if len(records) == 1 else 's'}: {told or 'nothing done'}"

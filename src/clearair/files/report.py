"""A batch's report: a JSON list with a record for each file, which resumed runs keep up to date."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearair.errors import ExistsError, OutputError, UsageError
from clearair.files.outputs import Job, check_file, is_same_file
from clearair.files.record import Record, Status
from clearair.placing import make_folder, write_atomically
from clearair.stores import Place

_DONE = (Status.RESTORED, Status.LEFT)


@dataclass(frozen=True)
class Report:
    """The report file, with a record of each picture.

    A report that exists is an error, is replaced with `overwrite`, and is updated with `resume`: records of
    other files stay, and what was found in a file that is skipped now stays too.
    """

    path: Path
    overwrite: bool = False
    resume: bool = False

    def check(self, jobs: Sequence[Job], out: Place | None = None) -> None:
        """Refuse a file that cannot be written, before any work is done; `out` is created by the run.

        Raises UsageError when it is an input or the name of a result, OutputError when it exists and may not
        be replaced, or has no folder that can be written to.
        """
        made = out is not None and out in self.path.parents
        replaced = self.overwrite or self._is_own()
        check_file(self.path, inputs=[job.source for job in jobs], overwrite=replaced, make_folder=made)
        if any(is_same_file(self.path, job.target) for job in jobs):
            raise UsageError(f"{self.path}: the report has the name of a result. Choose another one.")

    def write(self, records: Sequence[Record], unfinished: Iterable[Job] = ()) -> None:
        """Write a record of each file; `unfinished` are those that the run did not reach.

        Raises OutputError.
        """
        late = (Record(input=str(job.source), output=None, unfinished=True) for job in unfinished)
        new = [record.to_dict() for record in (*records, *late)]
        # Read again, as another run may have written it meanwhile.
        merged = _merge(read_report(self.path) if self._is_own() else [], new)
        make_folder(self.path.parent)  # where no result has made it
        text = json.dumps(merged, indent=2) + "\n"
        write_atomically(self.path, text.encode(), overwrite=self.overwrite or self._is_own())

    def _is_own(self) -> bool:
        """Whether a resumed run may replace what stands there."""
        if not self.resume or not self.path.exists():
            return False
        try:
            read_report(self.path)
        except OutputError as error:
            raise ExistsError(f"{error} Choose another name, or replace it with overwrite=True.") from error
        return True


def read_report(path: Path) -> list[dict[str, Any]]:
    """The records of a report. Raises OutputError when the file is not a report."""
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: exists already and is not a report of a batch.") from error
    if not isinstance(records, list) or not all(_is_record(record) for record in records):
        raise OutputError(f"{path}: exists already and is not a report of a batch.")
    return records


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and {"input", "output", "error"} <= value.keys()


def _merge(earlier: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of both, each input once, in their order."""
    merged = {record["input"]: record for record in earlier}
    for record in new:
        known = merged.get(record["input"], {})
        if record["status"] in (Status.SKIPPED, Status.UNFINISHED) and known.get("status") in _DONE:
            continue  # it says what was found, and the result is still there
        merged[record["input"]] = record
    return list(merged.values())

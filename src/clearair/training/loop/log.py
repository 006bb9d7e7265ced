"""The log of a run, `log.jsonl`, with one JSON object per line; only this module reads and writes it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clearair.errors import OutputError, TrainingError
from clearair.training.loop.progress import duration

LOG = "log.jsonl"
"""In a run folder."""
ASIDE = "log.before.jsonl"
"""Logs of attempts that ended before their first checkpoint."""


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Append a record to a JSON Lines file. Raises OutputError."""
    try:
        with path.open("a") as log:
            log.write(json.dumps(record) + "\n")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}.") from error


def append_and_report(path: Path, record: dict[str, float], report: Callable[[str], None]) -> None:
    """Append a record to a JSON Lines file, and report it for people to read."""
    append(path, record)
    report(
        "  ".join(
            f"{name} {duration(value) if name == 'left' else format(value, '.5g')}"
            for name, value in record.items()
        )
    )


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the records of a log, none where there is no file.

    An unfinished last line is passed over: the run may be at it, or was killed. Raises TrainingError when
    another line is damaged.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: cannot be read ({error}).") from error
    records = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            if not line.endswith("\n"):
                break
            raise TrainingError(f"{path}: line {number} is damaged; delete it.") from error
        if not isinstance(record, dict):
            raise TrainingError(f"{path}: line {number} is not a record; delete it.")
        records.append(record)
    return records


def put_aside(path: Path) -> None:
    """Move the log of an attempt that left no checkpoint to the end of ASIDE: another run begins here.

    Raises OutputError.
    """
    try:
        text = path.read_bytes()
        with path.with_name(ASIDE).open("ab") as aside:
            aside.write(text)
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path}: cannot be moved to {ASIDE}: {error.strerror}.") from error


def mend(path: Path) -> None:
    """Remove an unfinished last line of a JSON Lines file: a run may be killed at any time."""
    if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)

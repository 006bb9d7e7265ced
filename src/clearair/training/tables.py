"""`log.csv` and `validation.csv`: what `log.jsonl` says, for a spreadsheet.

They are made anew from the log, and follow the run as it stands: steps that were trained again after a run
was resumed from before them, since it was killed or annealed, count once.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clearair.image import write_atomically
from clearair.training.progress import LOG


def write_tables(out: Path) -> None:
    """Write both into a run folder, as far as there is something to write."""
    log = out / LOG
    if not log.exists():
        return
    records = [json.loads(line) for line in log.read_text().splitlines()]
    training: list[dict[str, Any]] = []
    validation: list[dict[str, Any]] = []
    for record in records:
        if "loss" in record:
            while training and training[-1]["step"] >= record["step"]:
                training.pop()
            training.append(record)
        elif "validation" in record:
            plain = {name: record[name] for name in ("step", "seconds", "of", "views") if name in record}
            validation.append(plain | record["validation"])
    for name, rows in (("log.csv", training), ("validation.csv", validation)):
        if rows:
            write_atomically(out / name, _as_csv(rows).encode(), overwrite=True)


def _as_csv(rows: Iterable[dict[str, Any]]) -> str:
    """With a column for everything that any of the rows says."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()

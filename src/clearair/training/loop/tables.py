"""`log.csv` and `validation.csv`: `log.jsonl` as spreadsheets, rewritten from the log."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clearair.placing import write_atomically
from clearair.training.loop.curves import Curves
from clearair.training.loop.log import LOG, read_log


def write_tables(out: Path) -> None:
    """Write both to a run folder, if there are records for them."""
    curves = Curves.of(read_log(out / LOG))
    validation = [
        {name: record[name] for name in ("step", "seconds", "of", "views") if name in record}
        | record["validation"]
        for record in curves.validation
    ]
    for name, rows in (("log.csv", curves.training), ("validation.csv", validation)):
        if rows:
            write_atomically(out / name, _as_csv(rows).encode(), overwrite=True)


def _as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return CSV with a column for every name that any of the rows has."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()

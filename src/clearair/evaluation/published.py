"""The tables of the paper, with the rows that were measured in them.

The published values are those of "ClearAIR: A Human-Visual-Perception-Inspired All-in-One Image Restoration"
(AAAI 2026, arXiv 2601.02763), Tables 2 to 10, in `paper_tables.csv`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from clearair.evaluation.measures import LOWER_IS_BETTER

METHOD = "ClearAIR"
"""The published row that ours are compared with."""
ABLATION = "ablation"
"""How the settings of tables begin whose rows are variants of one method, not methods."""
CHANCE = 0.2
"""dB of PSNR by which two trainings of one recipe with different seeds differ."""
ONE_SEED = f"One seed: differences below about {CHANCE:g} dB mean nothing."

Column = tuple[str, str]
"""Benchmark and metric."""


@dataclass(frozen=True)
class Row:
    """One method in a table."""

    method: str
    values: dict[Column, float]
    measured: bool = False
    partial: dict[Column, str] | None = None
    """Where fewer images were measured than the set has: how many."""

    def complete(self, column: Column) -> bool:
        """Whether there is a value of the whole set."""
        return column in self.values and column not in (self.partial or {})


@dataclass(frozen=True)
class Table:
    """One table of the paper."""

    number: int
    setting: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def is_ablation(self) -> bool:
        """Whether its rows are variants of one method."""
        return self.setting.startswith(ABLATION)

    def best(self, column: Column) -> float | None:
        """Return the best value of whole sets where ours is compared with others; None where it is not.

        None also where the best is ahead of ours, or ours of the next, by no more than chance.
        """
        compared = [row for row in self.rows if row.complete(column)]
        if len(compared) < 2 or not any(row.measured for row in compared):
            return None
        lower = column[1].lower() in LOWER_IS_BETTER
        ranked = sorted(compared, key=lambda row: row.values[column], reverse=not lower)
        first = ranked[0]
        rivals = ranked[1:] if first.measured else [row for row in ranked[1:] if row.measured]
        lead = min(abs(first.values[column] - row.values[column]) for row in rivals)
        return None if column[1] == "PSNR" and lead <= CHANCE else first.values[column]

    def reference(self, column: Column) -> float | None:
        """Return what the paper's own method reaches; None where it was not published."""
        return next((row.values.get(column) for row in self.rows if row.method == METHOD), None)


def published_tables() -> list[Table]:
    """Return every table of the paper, in its order."""
    found: dict[tuple[int, str], dict[str, dict[Column, float]]] = {}
    text = (files("clearair.evaluation") / "paper_tables.csv").read_text()
    for line in csv.DictReader(text.splitlines()):
        rows = found.setdefault((int(line["table"]), line["setting"]), {})
        column = (line["benchmark"], line["metric"])
        rows.setdefault(line["method"], {})[column] = float(line["value"])
    made = []
    for (number, setting), methods in found.items():
        columns = tuple(dict.fromkeys(column for values in methods.values() for column in values))
        made.append(
            Table(number, setting, columns, tuple(Row(method, values) for method, values in methods.items()))
        )
    return made


def tables_with(runs: Sequence[dict[str, Any]]) -> list[Table]:
    """Return the tables of methods in which at least one run has a value, with a row for each that has."""
    made = []
    for table in published_tables():
        if not table.is_ablation:
            rows = [row for run in runs for row in _rows_of(run, table.columns) if row.values]
            made += [Table(table.number, table.setting, table.columns, (*table.rows, *rows))] if rows else []
    return made


def by_protocol(run: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the results of a run by the name of its row, one a protocol.

    Numbers of different protocols are never in one row.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for result in run["results"]:
        found.setdefault(_row_name(run, result["protocol"]), []).append(result)
    return found


def asked_of(run: dict[str, Any]) -> list[str]:
    """Return what was asked of the model besides restoring, which changes its results."""
    named = [f"named {run['damage']}"] if "damage" in run else []
    return [*named, *(["limited by caution"] if run.get("cautious") else [])]


def _row_name(run: dict[str, Any], protocol: dict[str, Any]) -> str:
    """Return the model, and what is unusual about how it was measured."""
    multiple, seed = protocol.get("multiple", 1), protocol.get("noise_seed", 0)
    parts = [str(run.get("model", "?"))]
    parts += asked_of(run)
    parts += [f"cropped to {multiple}"] if multiple > 1 else []
    parts += [f"noise seed {seed}"] if seed else []
    parts += [] if protocol.get("rounded", True) else ["not rounded"]
    return ", ".join(parts)


def missing_part(result: dict[str, Any]) -> str | None:
    """Return how many images were measured, where those are not all of the published or the asked ones."""
    images, published = result["images"], result.get("published_images")
    asked = result.get("asked_images", images)
    # A folder may hold more than was published: then those left out of it are what is missing.
    whole = published if published and (images == asked or images < published) else asked
    return None if images == whole else f"{images} of {whole} images"


def _rows_of(run: dict[str, Any], columns: Sequence[Column]) -> list[Row]:
    rows = []
    for name, results in by_protocol(run).items():
        values: dict[Column, float] = {}
        partial: dict[Column, str] = {}
        for result in results:
            for column in columns:
                if column[0] == result["benchmark"] and column[1].lower() in result:
                    values[column] = result[column[1].lower()]
                    if part := missing_part(result):
                        partial[column] = part
        for column in columns:
            if column[0] == "Average":
                others = [each for each in columns if each[1] == column[1] and each != column]
                if all(each in values for each in others) and not any(each in partial for each in others):
                    values[column] = sum(values[each] for each in others) / len(others)
        rows.append(Row(name, values, True, partial))
    return rows

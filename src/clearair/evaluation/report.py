"""Tables of the paper with our rows in them, as Markdown or as one HTML page that needs no other file.

The published values are those of "ClearAIR: A Human-Visual-Perception-Inspired All-in-One Image Restoration"
(AAAI 2026, arXiv 2601.02763), Tables 2 to 10, in `paper_tables.csv`. What was not measured stays empty.
"""

from __future__ import annotations

import base64
import csv
import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from clearair.errors import DataError
from clearair.evaluation.measures import LOWER_IS_BETTER

CITATION = (
    "Published values: ClearAIR, AAAI 2026, arXiv 2601.02763. Rows in italics were measured with clearair."
)
METHOD = "ClearAIR"
"""The published row that ours are compared with."""

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


@dataclass(frozen=True)
class Table:
    """One table of the paper."""

    number: int
    setting: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def read_run(path: Path) -> dict[str, Any]:
    """What `clearair evaluate --json` wrote. Raises DataError."""
    try:
        run = json.loads(path.read_text())
        for result in run["results"]:
            result["benchmark"], result["protocol"], result["images"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a file that `clearair evaluate --json` wrote.") from error
    return {**run, "file": path}


def tables(runs: Sequence[dict[str, Any]]) -> list[Table]:
    """Every published table with a row for each run."""
    found: dict[tuple[int, str], dict[str, dict[Column, float]]] = {}
    text = (files("clearair.evaluation") / "paper_tables.csv").read_text()
    for line in csv.DictReader(text.splitlines()):
        rows = found.setdefault((int(line["table"]), line["setting"]), {})
        column = (line["benchmark"], line["metric"])
        rows.setdefault(line["method"], {})[column] = float(line["value"])
    made = []
    for (number, setting), methods in found.items():
        columns = tuple(dict.fromkeys(column for values in methods.values() for column in values))
        published = tuple(Row(method, values) for method, values in methods.items())
        ours = tuple(row for run in runs for row in _rows_of(run, columns))
        made.append(Table(number, setting, columns, published + ours))
    return made


def markdown(runs: Sequence[dict[str, Any]], extra: Sequence[str] = ()) -> str:
    """All tables, what was measured how, and further sections."""
    parts = ["# Results", "", CITATION.replace("Rows in italics", "Rows in *italics*"), ""]
    for table in tables(runs):
        parts += [f"## Table {table.number}: {table.setting}", ""]
        parts.append(f"| method | {' | '.join(f'{name} {metric}' for name, metric in table.columns)} |")
        parts.append(f"|{' --- |' * (1 + len(table.columns))}")
        for row in table.rows:
            cells = [_cell(table, row, column, "**{}**", "*{}*") for column in table.columns]
            name = f"*{row.method}*" if row.measured else row.method
            parts.append(f"| {name} | {' | '.join(cells)} |")
        parts.append("")
    parts += ["## What was measured", "", *(f"- {line}" for line in _provenance(runs)), ""]
    return "\n".join([*parts, *extra])


def page(runs: Sequence[dict[str, Any]], crops: int = 3, extra: Sequence[str] = ()) -> str:
    """The same as one HTML page, with crops before and after of up to `crops` saved images a benchmark."""
    body = [f"<h1>Results</h1><p>{html.escape(CITATION)}</p>"]
    for table in tables(runs):
        heads = "".join(f"<th>{html.escape(name)}<br>{metric}</th>" for name, metric in table.columns)
        body.append(f"<h2>Table {table.number}: {table.setting}</h2><table><tr><th>method</th>{heads}</tr>")
        for row in table.rows:
            cells = "".join(
                f"<td>{_cell(table, row, column, '<b>{}</b>', '{}')}</td>" for column in table.columns
            )
            kind = ' class="ours"' if row.measured else ""
            body.append(f"<tr{kind}><td>{html.escape(row.method)}</td>{cells}</tr>")
        body.append("</table>")
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in _provenance(runs))
    body.append(f"<h2>What was measured</h2><ul>{lines}</ul>")
    body += [_pictures(run, crops) for run in runs]
    body += extra
    return _PAGE.format("\n".join(body))


def _rows_of(run: dict[str, Any], columns: Sequence[Column]) -> list[Row]:
    """One row, or one a protocol where they differ: numbers of different protocols are never in one row."""
    by_protocol: dict[str, list[dict[str, Any]]] = {}
    for result in run["results"]:
        by_protocol.setdefault(json.dumps(result["protocol"], sort_keys=True), []).append(result)
    rows = []
    for results in by_protocol.values():
        values: dict[Column, float] = {}
        partial: dict[Column, str] = {}
        for result in results:
            for column in columns:
                name, metric = column
                if name == result["benchmark"] and metric.lower() in result:
                    values[column] = result[metric.lower()]
                    if part := _part(result):
                        partial[column] = part
        for column in columns:
            if column[0] == "Average":
                others = [each for each in columns if each[1] == column[1] and each != column]
                if all(each in values for each in others) and not any(each in partial for each in others):
                    values[column] = sum(values[each] for each in others) / len(others)
        multiple = results[0]["protocol"].get("multiple", 1)
        name = f"{run.get('model', '?')}" + (f", cropped to {multiple}" if multiple > 1 else "")
        rows.append(Row(name, values, True, partial))
    return rows


def _part(result: dict[str, Any]) -> str | None:
    """How many images were measured, where those are not all of the published or the asked ones."""
    images, published = result["images"], result.get("published_images")
    asked = result.get("asked_images", images)
    # A folder may hold more than was published: then those left out of it are what is missing.
    whole = published if published and (images == asked or images < published) else asked
    return None if images == whole else f"{images} of {whole} images"


def _cell(table: Table, row: Row, column: Column, best: str, ours: str) -> str:
    """A value; the best in bold, ours with the difference to ClearAIR's and how much was measured."""
    value = row.values.get(column)
    if value is None:
        return ""
    partial = (row.partial or {}).get(column)
    digits = 3 if column[1] in ("SSIM", "NIQE") else 2
    text = f"{value:.{digits}f}"
    complete = [
        each.values[column]
        for each in table.rows
        if column in each.values and column not in (each.partial or {})
    ]
    lower = column[1].lower() in LOWER_IS_BETTER
    champion = (min if lower else max)(complete) if complete else math.nan
    if partial is None and round(value, digits) == round(champion, digits):
        text = best.format(text)
    if row.measured:
        reference = next((each.values.get(column) for each in table.rows if each.method == METHOD), None)
        notes = [] if reference is None else [f"{value - reference:+.{digits}f}"]
        notes += [partial] if partial else []
        text = ours.format(text) + (f" ({', '.join(notes)})" if notes else "")
    return text


def _provenance(runs: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for run in runs:
        made = run.get("commit", run.get("version", "?"))
        for result in run["results"]:
            protocol = ", ".join(f"{name} {value}" for name, value in result["protocol"].items())
            images = f"{result['images']}"
            if result["images"] != result.get("asked_images", result["images"]):
                images += f" of {result['asked_images']}"
            lost = f", {result['skipped_images']} skipped" if result.get("skipped_images") else ""
            lines.append(
                f"{run.get('model', '?')} (clearair {made}) on {result['benchmark']}: {images} images{lost}, "
                f"{protocol}, data {result.get('manifest', '?')[:12]}, {Path(run['file']).name}"
            )
    return lines


def _pictures(run: dict[str, Any], most: int) -> str:
    parts = []
    for result in run["results"]:
        saved = [score for score in result.get("scores", ()) if score.get("saved")]
        for score in saved[:: max(1, len(saved) // most)][:most]:
            base = Path(run["file"]).absolute().parent
            given = score["saved"]
            paths = [
                base / given["input"] if "input" in given else Path(score["files"][0]),
                base / given["restored"],
                Path(score["files"][-1]) if "psnr" in score else None,
            ]
            shown = [_crop(path) for path in paths if path is not None and path.is_file()]
            title = html.escape(f"{result['benchmark']}: {score['name']}")
            parts.append(f"<figure>{''.join(shown)}<figcaption>{title}</figcaption></figure>")
    if not parts:
        return ""
    return "<h2>Before, after, clean</h2>" + "".join(parts)


def _crop(path: Path, side: int = 224) -> str:
    """The middle of a picture, inside the page."""
    from clearair.image import Photo, encode_photo, read_photo

    pixels = read_photo(path).pixels
    top, left = (max(0, (length - side) // 2) for length in pixels.shape[:2])
    encoded = encode_photo(Photo(pixels[top : top + side, left : left + side].copy()), "png")
    return f'<img src="data:image/png;base64,{base64.b64encode(encoded).decode()}">'


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Results</title><style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em }}
table {{ border-collapse: collapse; display: block; overflow-x: auto }}
td, th {{ border-bottom: 1px solid #ccc; padding: .2em .6em; text-align: right }}
td:first-child, th:first-child {{ text-align: left }}
.ours {{ background: #eef5ff; font-style: italic }}
figure {{ display: inline-block; margin: .5em }} img {{ margin-right: 4px }}
</style></head><body>
{}
</body></html>
"""

"""A report of measured results, as Markdown or as one HTML page that needs no other file.

What was measured comes first; then further sections, such as ablations and trainings; then those tables of
the paper in which something was measured.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearair.errors import DataError
from clearair.evaluation.published import ONE_SEED, Column, Row, Table, by_protocol, missing_part, tables_with

CITATION = (
    "Published values: ClearAIR, AAAI 2026, arXiv 2601.02763. Rows in italics were measured with clearair; "
    "in brackets the difference to ClearAIR. The best of whole sets is bold where ours is compared."
)
_CROPS = 3
"""Saved images of a benchmark that the page shows."""
NO_METRICS = {
    "benchmark",
    "protocol",
    "complete",
    "images",
    "asked_images",
    "skipped_images",
    "published_images",
    "manifest",
    "scores",
    "skipped",
}
"""Entries of a result that are no metric."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    bold: bool = False
    note: str = ""
    """Said in brackets behind it."""


def read_run(path: Path) -> dict[str, Any]:
    """Read what `clearair evaluate --json` wrote. Raises DataError."""
    try:
        run = json.loads(path.read_text())
        sensible = all(map(_is_result, run["results"]))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: not a file that `clearair evaluate --json` wrote.") from error
    if not sensible:
        raise DataError(f"{path}: not a file that `clearair evaluate --json` wrote.")
    return {**run, "file": path}


_NUMBERS = ["psnr", "ssim", "niqe", "musiq", "images", "asked_images", "published_images", "skipped_images"]


def _is_result(result: Any) -> bool:
    """Whether the entries of one benchmark have the types that a report needs."""
    return (
        isinstance(result["benchmark"], str)
        and isinstance(result["protocol"], dict)
        and isinstance(result["images"], int)
        and isinstance(result.get("manifest", ""), str)
        and isinstance(result.get("scores", []), list)
        and all(isinstance(score, dict) for score in result.get("scores", []))
        and all(
            isinstance(value, int | float | None)
            for name, value in result.items()
            if name.removeprefix("input_").split("-")[0] in _NUMBERS
        )
    )


def markdown(runs: Sequence[dict[str, Any]], extra: Sequence[str] = ()) -> str:
    """Return the report as Markdown; `extra` are sections."""
    parts = ["# Results", ""]
    if runs:
        parts += ["## Measured with clearair", "", *_markdown_table(*own_table(runs)), "", ONE_SEED, ""]
        parts += [*(f"- {line}" for line in _provenance(runs)), ""]
    parts += extra
    found = tables_with(runs)
    if found:
        parts += ["## Published results", "", CITATION.replace("in italics", "in *italics*"), ""]
    for table in found:
        heads = ["method", *(f"{name} {metric}" for name, metric in table.columns)]
        rows = []
        for row in table.rows:
            cells = [_as_markdown(cell_of(table, row, column), row) for column in table.columns]
            rows.append([f"*{row.method}*" if row.measured else row.method, *cells])
        parts += [f"### Table {table.number}: {table.setting}", "", *_markdown_table(heads, rows), ""]
    return "\n".join(parts)


def page(runs: Sequence[dict[str, Any]], extra: Sequence[str] = ()) -> str:
    """Return the report as one HTML page, with crops of a few saved images of each benchmark."""
    body = ["<h1>Results</h1>"]
    if runs:
        heads, rows = own_table(runs)
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in _provenance(runs))
        body.append("<h2>Measured with clearair</h2><table>")
        body += [_html_row(heads, "th"), *(_html_row(row, "td") for row in rows)]
        body.append(f"</table><p>{html.escape(ONE_SEED)}</p><ul>{lines}</ul>")
    body += [_pictures(run) for run in runs]
    body += extra
    found = tables_with(runs)
    if found:
        body.append(f"<h2>Published results</h2><p>{html.escape(CITATION)}</p>")
    return _PAGE.format("\n".join([*body, *(_html_table(table) for table in found)]))


def own_table(runs: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return the heading and the rows of what was measured: a row for each model, protocol and set."""
    metrics = list(
        dict.fromkeys(
            name.removeprefix("input_")
            for run in runs
            for result in run["results"]
            for name in result
            if name not in NO_METRICS
        )
    )
    heads = ["model", "set", "images"]
    heads += [f"{metric.upper()} {side}" for metric in metrics for side in ("in", "out")]
    rows = []
    for run in runs:
        for name, results in by_protocol(run).items():
            for result in results:
                images = (missing_part(result) or str(result["images"])).removesuffix(" images")
                values = [result.get(side + metric) for metric in metrics for side in ("input_", "")]
                names = [metric for metric in metrics for _ in range(2)]
                numbers = [
                    "" if value is None else f"{value:.{_digits(metric)}f}"
                    for metric, value in zip(names, values, strict=True)
                ]
                rows.append([name, result["benchmark"], images, *numbers])
    return heads, rows


def cell_of(table: Table, row: Row, column: Column) -> Cell:
    """Return a value; ours with the difference to ClearAIR's and how much was measured."""
    value = row.values.get(column)
    if value is None:
        return Cell("")
    digits = _digits(column[1])
    best = table.best(column)
    bold = best is not None and row.complete(column) and round(value, digits) == round(best, digits)
    notes = []
    if row.measured:
        reference = table.reference(column)
        notes += [] if reference is None else [f"{value - reference:+.{digits}f}"]
        notes += [(row.partial or {})[column]] if column in (row.partial or {}) else []
    return Cell(f"{value:.{digits}f}", bold, ", ".join(notes))


def _digits(metric: str) -> int:
    return 3 if metric.lower().startswith(("ssim", "niqe")) else 2


def _as_markdown(cell: Cell, row: Row) -> str:
    text = f"**{cell.text}**" if cell.bold else cell.text
    text = f"*{text}*" if row.measured and text else text
    return f"{text} ({cell.note})" if cell.note else text


def _as_html(cell: Cell) -> str:
    text = f"<b>{cell.text}</b>" if cell.bold else cell.text
    return f"{text} ({cell.note})" if cell.note else text


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    return [*lines, *(f"| {' | '.join(map(_escaped, row))} |" for row in rows)]


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def _html_table(table: Table) -> str:
    heads = "".join(f"<th>{html.escape(name)}<br>{metric}</th>" for name, metric in table.columns)
    lines = [f"<h3>Table {table.number}: {table.setting}</h3><table><tr><th>method</th>{heads}</tr>"]
    for row in table.rows:
        cells = "".join(f"<td>{_as_html(cell_of(table, row, column))}</td>" for column in table.columns)
        kind = ' class="ours"' if row.measured else ""
        lines.append(f"<tr{kind}><td>{html.escape(row.method)}</td>{cells}</tr>")
    return "\n".join([*lines, "</table>"])


def _html_row(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"


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
            computed = (
                f", {run['precision']} on {run['device']}" if {"precision", "device"} <= run.keys() else ""
            )
            lines.append(
                f"{run.get('model', '?')} (clearair {made}) on {result['benchmark']}: {images} images{lost}, "
                f"{protocol}{computed}, data {result.get('manifest', '?')[:12]}, {Path(run['file']).name}"
            )
    return lines


def _pictures(run: dict[str, Any]) -> str:
    parts = []
    for result in run["results"]:
        saved = [score for score in result.get("scores", ()) if score.get("saved")]
        for score in saved[:: max(1, len(saved) // _CROPS)][:_CROPS]:
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
    """Return the middle of a picture, inside the page."""
    from clearair.image import Photo, encode_photo, read_photo

    pixels = read_photo(path).pixels
    top, left = (max(0, (length - side) // 2) for length in pixels.shape[:2])
    encoded = encode_photo(Photo(pixels[top : top + side, left : left + side].copy()), "png")
    return picture_element(encoded)


def picture_element(png: bytes) -> str:
    """Return HTML that shows a picture without another file."""
    return f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}">'


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Results</title><style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em }}
table {{ border-collapse: collapse; display: block; overflow-x: auto }}
td, th {{ border-bottom: 1px solid #ccc; padding: .2em .6em; text-align: right }}
td:first-child, th:first-child {{ text-align: left }}
.ours {{ background: #eef5ff; font-style: italic }}
figure {{ display: inline-block; margin: .5em }} img {{ margin-right: 4px; max-width: 100% }}
</style></head><body>
{}
</body></html>
"""

"""Sections of a report about one training run: its curves and pictures for a page, its numbers as a table."""

from __future__ import annotations

import html
from pathlib import Path

from clearair.apps.plot import draw_run
from clearair.evaluation.report import picture_element
from clearair.training.loop.curves import read_curves


def training_section(run: Path) -> str:
    """Return HTML with what `clearair plot` draws of a run folder.

    Raises TrainingError for a folder without a readable log, UsageError when matplotlib is missing.
    """
    return f"<h2>Training: {html.escape(run.resolve().name)}</h2>{picture_element(draw_run(run))}"


def training_table(run: Path) -> str:
    """Return Markdown of a run folder: PSNR by kind at every validation.

    Raises TrainingError for a folder without a readable log.
    """
    curves = read_curves(run)
    lines = [f"## Training: {run.resolve().name}", ""]
    if not curves.validation:
        last = curves.training[-1]
        return "\n".join([*lines, f"Not validated; step {last['step']}, loss {last['loss']:.4g}.", ""])
    lines += [f"| step | {' | '.join(curves.kinds)} |", f"|{' --- |' * (1 + len(curves.kinds))}"]
    for record in curves.validation:
        known = [record["validation"].get(kind) for kind in curves.kinds]
        cells = ["" if value is None else f"{value:.2f}" for value in known]
        lines.append(f"| {record['step']} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])

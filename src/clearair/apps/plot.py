"""A picture of a training run: its curves by kind of damage, and held-out pictures before and after.

Needs matplotlib, which the extra `plot` brings.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from clearair.errors import UsageError
from clearair.training.loop.curves import Curves, read_curves
from clearair.training.restorer.samples import Samples, load_samples


def draw_run(run: Path, suffix: str = ".png") -> bytes:
    """Return the picture of a run folder as a file of the type `suffix`: .png, .svg or .pdf.

    Raises TrainingError for a folder without a readable log, UsageError for another type and when matplotlib
    is missing.
    """
    if suffix not in (".png", ".svg", ".pdf"):
        raise UsageError(f"A plot is written as .png, .svg or .pdf, not {suffix or 'without a suffix'}.")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("Plots need matplotlib: pip install 'clearair[plot]'") from error
    curves, samples = read_curves(run), load_samples(run)
    heights = [5.0] if samples is None else [5.0, 1.7 * len(samples.kinds)]
    figure = Figure(figsize=(13, sum(heights)), layout="constrained")
    parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)
    left, right = parts[0, 0].subplots(1, 2)
    parts[0, 0].suptitle(run.resolve().name)
    _draw_training(left, curves)
    _draw_validation(right, curves)
    if samples is not None:
        _draw_samples(parts[1, 0], samples)
    data = io.BytesIO()
    figure.savefig(data, format=suffix[1:], dpi=100)
    return data.getvalue()


def _draw_training(axes: Any, curves: Curves) -> None:
    """Loss and PSNR of the training batches over steps, minutes above."""
    steps = [record["step"] for record in curves.training]
    axes.plot(steps, [record["loss"] for record in curves.training], color="tab:red")
    axes.set(title="training batches", xlabel="step", ylabel="loss")
    axes.yaxis.label.set_color("tab:red")
    if all("psnr" in record for record in curves.training):
        other = axes.twinx()
        other.plot(steps, [record["psnr"] for record in curves.training], color="tab:blue")
        other.set_ylabel("PSNR in dB")
        other.yaxis.label.set_color("tab:blue")


def _draw_validation(axes: Any, curves: Curves) -> None:
    """Gain over the input by kind, so that kinds of any difficulty share one scale; over minutes."""
    from matplotlib import colormaps

    colours = colormaps["tab20"]
    for index, kind in enumerate(curves.kinds):
        known = [record for record in curves.validation if kind in record["validation"]]
        if kind == "clean":
            continue  # 100 dB would leave no room for the others
        axes.plot(
            [record["seconds"] / 60 for record in known],
            [record["validation"][kind] - record["input"][kind] for record in known],
            marker="o",
            markersize=3,
            color="black" if kind == "mean" else colours(index),
            linewidth=3 if kind == "mean" else 1.2,
            label=f"{kind} {known[-1]['validation'][kind]:.2f}",
        )
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(title="validation", xlabel="minutes of training", ylabel="PSNR over that of the input, dB")
    if curves.kinds:
        axes.legend(
            title="last PSNR, dB", fontsize=7, title_fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5)
        )


def _draw_samples(figure: Any, samples: Samples) -> None:
    """A row for each kind: damaged, at the start, now, clean."""
    columns = {"damaged": samples.damaged, "at the start": samples.start, "now": samples.now}
    columns["clean"] = samples.clean
    known = {name: pictures for name, pictures in columns.items() if pictures is not None}
    grid = figure.subplots(len(samples.kinds), len(known), squeeze=False)
    for row, kind in enumerate(samples.kinds):
        for column, (name, pictures) in enumerate(known.items()):
            axes = grid[row][column]
            axes.imshow(pictures[row].permute(1, 2, 0).numpy())
            axes.set(xticks=[], yticks=[])
            if row == 0:
                axes.set_title(name)
            if column == 0:
                axes.set_ylabel(kind)

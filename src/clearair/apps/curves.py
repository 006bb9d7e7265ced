"""Curves of a training run as SVG, and its pictures before and after, for a page that needs no other file."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from clearair.image import Photo, encode_photo
from clearair.training.loop.curves import Curves, read_curves
from clearair.training.restorer.samples import Samples, load_samples

Line = Sequence[tuple[float, float]]
"""Points (x, y), x rising."""

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 52, 150, 28, 40
"""Margins, in which the numbers and the names of the lines stand."""
COLOURS = (
    "#000000",
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#17becf",
    "#393b79",
    "#637939",
    "#8c6d31",
)
HIDDEN = "clean"
"""Not drawn: undamaged pictures lose up to 60 dB from 100, and would leave no room for the others."""


def draw_lines(lines: Mapping[str, Line], title: str, x: str, y: str) -> str:
    """One SVG with a curve for each named line, labelled at its end with its last value.

    Points that are not finite are left out; nothing to draw gives an empty string.
    """
    known = {
        name: [(float(a), float(b)) for a, b in line if math.isfinite(a) and math.isfinite(b)]
        for name, line in lines.items()
    }
    known = {name: line for name, line in known.items() if line}
    if not known:
        return ""
    across = _Axis([a for line in known.values() for a, _ in line], LEFT, WIDTH - RIGHT)
    up = _Axis([b for line in known.values() for _, b in line], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" font-size="11" font-family="sans-serif">',
        f"<title>{html.escape(title)}</title>",
        f'<text x="{LEFT}" y="16" font-size="13">{html.escape(title)}</text>',
    ]
    for value in up.ticks:
        place = up.at(value)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place:.1f}" y2="{place:.1f}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{place + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    for value in across.ticks:
        parts.append(
            f'<text x="{across.at(value):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{value:g}'
            "</text>"
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{html.escape(x)}</text>')
    parts.append(
        f'<text x="12" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 12 {HEIGHT / 2})">'
        f"{html.escape(y)}</text>"
    )
    for index, (name, line) in enumerate(known.items()):
        colour = COLOURS[index % len(COLOURS)]
        points = " ".join(f"{across.at(a):.1f},{up.at(b):.1f}" for a, b in line)
        thick = 2.5 if index == 0 else 1.3
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{thick}"/>')
        if len(line) < 20:
            parts += [
                f'<circle cx="{across.at(a):.1f}" cy="{up.at(b):.1f}" r="2.5" fill="{colour}"/>'
                for a, b in line
            ]
        label = f"{html.escape(name)} {line[-1][1]:.4g}"
        parts.append(
            f'<text x="{WIDTH - RIGHT + 10}" y="{TOP + 8 + 18 * index}" fill="{colour}">{label}</text>'
        )
    return "".join([*parts, "</svg>"])


def training_section(run: Path) -> str:
    """HTML of a run folder: loss, PSNR of the batches, PSNR by kind, and pictures before and after.

    Raises TrainingError for a folder without a readable log.
    """
    curves, samples = read_curves(run), load_samples(run)
    parts = [f"<h2>Training: {html.escape(run.resolve().name)}</h2>", *_drawn(curves)]
    if samples is not None:
        parts += ["<h3>Held-out pictures: damaged, restored, clean</h3>", *_shown(samples)]
    return "".join(parts)


def training_table(run: Path) -> str:
    """Markdown of a run folder: PSNR by kind at every validation. Raises TrainingError without a log."""
    curves = read_curves(run)
    lines = [f"## Training: {run.resolve().name}", ""]
    if not curves.validation:
        last = curves.training[-1]
        return "\n".join([*lines, f"Not validated; step {last['step']}, loss {last['loss']:.4g}.", ""])
    lines += [f"| step | {' | '.join(curves.kinds)} |", f"|{' --- |' * (1 + len(curves.kinds))}"]
    for record in curves.validation:
        known = [record["validation"].get(kind) for kind in curves.kinds]
        cells = ["" if value is None else f"*{value:.2f}*" for value in known]
        lines.append(f"| {record['step']} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _drawn(curves: Curves) -> list[str]:
    def of(name: str) -> Line:
        return [(record["step"], record[name]) for record in curves.training if name in record]

    kinds = {
        kind: [
            (record["step"], record["validation"][kind])
            for record in curves.validation
            if kind in record["validation"]
        ]
        for kind in curves.kinds
        if kind != HIDDEN
    }
    return [
        draw_lines({"loss": of("loss")}, "training batches", "step", "loss"),
        draw_lines({"PSNR": of("psnr")}, "training batches", "step", "PSNR, dB"),
        draw_lines(kinds, "held-out pictures by kind of damage", "step", "PSNR, dB"),
    ]


def _shown(samples: Samples) -> list[str]:
    figures = []
    for index, kind in enumerate(samples.kinds):
        pictures = "".join(
            _picture(group[index].permute(1, 2, 0).numpy())
            for group in (samples.damaged, samples.now, samples.clean)
        )
        figures.append(f"<figure>{pictures}<figcaption>{html.escape(kind)}</figcaption></figure>")
    return figures


def _picture(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    encoded = encode_photo(Photo(np.ascontiguousarray(pixels)), "png")
    return f'<img src="data:image/png;base64,{base64.b64encode(encoded).decode()}">'


class _Axis:
    """From values to places in the picture, with round numbers to write beside it."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(values), max(values)
        if low == high:
            pad = abs(low) / 20 or 1.0
            low, high = low - pad, high + pad
        self.low, self.high, self.start, self.end = low, high, start, end
        step = 10 ** math.floor(math.log10((high - low) / 4))
        step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 6)
        first = math.ceil(low / step)
        self.ticks = [round(index * step, 10) for index in range(first, math.floor(high / step) + 1)]

    def at(self, value: float) -> float:
        """Where a value lies."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

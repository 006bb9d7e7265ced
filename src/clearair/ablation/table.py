"""One table of an ablation: mean and spread over seeds, and the difference to the full variant.

Variants of one seed begin with the same weights, where they have the same, and see the same pictures, so they
are compared seed by seed: the spread of those differences is smaller than that of the values.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from statistics import mean, stdev
from typing import Any

from clearair.ablation.runs import Ablation, Result
from clearair.network import BASE

UNDAMAGED = "clean"
"""The set that the mean leaves out: pictures without damage reach any value, up to 100 dB."""
MEAN = "mean"


@dataclass(frozen=True)
class Spread:
    """Values of several seeds."""

    mean: float
    deviation: float | None
    """Standard deviation over the seeds; None of a single one."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(mean(values), stdev(values) if len(values) > 1 else None)

    def text(self, form: str = ".2f") -> str:
        """For a table."""
        spread = "" if self.deviation is None else f" ± {self.deviation:.2f}"
        return f"{self.mean:{form}}{spread}"

    def to_dict(self) -> dict[str, float | None]:
        """Plain values, for JSON."""
        deviation = None if self.deviation is None else round(self.deviation, 4)
        return {"mean": round(self.mean, 4), "deviation": deviation}


@dataclass(frozen=True)
class Row:
    """One variant."""

    variant: str
    seeds: tuple[int, ...]
    psnr: dict[str, Spread]
    """In dB by kind of damage, the mean over the damaged kinds first."""
    difference: dict[str, Spread] | None
    """To the full variant, seed by seed; None of itself, and without a common seed."""
    published: dict[str, float]
    """What the paper has for it, by benchmark and metric."""


def rows(ablation: Ablation, results: Sequence[Result]) -> list[Row]:
    """A row for each variant that has a result, in the order of the family."""
    values: dict[str, dict[int, dict[str, float]]] = {}
    for result in results:
        values.setdefault(result.variant, {})[result.seed] = _with_mean(result.psnr)
    full = values.get(ablation.family.full, {})
    published = _published(ablation.family.published)
    made = []
    for variant in (name for name in ablation.variants() if name in values):
        seeds = values[variant]
        common = [] if variant == ablation.family.full else [seed for seed in seeds if seed in full]
        kinds = list(next(iter(seeds.values())))
        differences = (
            {kind: Spread.of([seeds[seed][kind] - full[seed][kind] for seed in common]) for kind in kinds}
            if common
            else None
        )
        psnr = {kind: Spread.of([found[kind] for found in seeds.values()]) for kind in kinds}
        made.append(Row(variant, tuple(seeds), psnr, differences, published.get(variant, {})))
    return made


def markdown(name: str, ablation: Ablation, results: Sequence[Result], notes: Sequence[str] = ()) -> str:
    """The table, and under it how it came about."""
    found = rows(ablation, results)
    kinds = list(found[0].psnr)
    full, family = ablation.family.full, ablation.family
    columns = list(next((row.published for row in found if row.published), {}))
    heads = [family.question, f"against {full}", *kinds, *(f"paper: {column}" for column in columns)]
    lines = [f"# Ablation: {name}", "", f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    best = max(row.psnr[MEAN].mean for row in found)
    for row in found:
        difference = "" if row.difference is None else row.difference[MEAN].text("+.2f")
        cells = [row.psnr[kind].text() for kind in kinds]
        if row.psnr[MEAN].mean == best:
            cells[0] = f"**{cells[0]}**"
        cells += [_number(column, row.published.get(column)) for column in columns]
        lines.append(f"| {row.variant} | {difference} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- {line}" for line in [*_about(ablation, results), *notes]), ""])


def to_dict(name: str, ablation: Ablation, results: Sequence[Result]) -> dict[str, Any]:
    """The same as plain values, for JSON, with every single result."""
    table = {
        row.variant: {
            "seeds": row.seeds,
            "psnr": {kind: spread.to_dict() for kind, spread in row.psnr.items()},
            "difference": row.difference and {kind: each.to_dict() for kind, each in row.difference.items()},
            "published": row.published,
        }
        for row in rows(ablation, results)
    }
    return {
        "ablation": name,
        "question": ablation.family.question,
        "full": ablation.family.full,
        "budget": str(ablation.budget),
        "views": ablation.views,
        "recipe": ablation.recipe.to_dict(),
        "variants": table,
        "results": [result.to_dict() for result in results],
    }


def _with_mean(psnr: Mapping[str, float]) -> dict[str, float]:
    damaged = [value for kind, value in psnr.items() if kind != UNDAMAGED]
    return {MEAN: mean(damaged or psnr.values()), **psnr}


def _published(table: int | None) -> dict[str, dict[str, float]]:
    text = (files("clearair.evaluation") / "paper_tables.csv").read_text()
    found: dict[str, dict[str, float]] = {}
    for line in csv.DictReader(text.splitlines()):
        if line["table"] == str(table):
            found.setdefault(line["method"], {})[f"{line['benchmark']} {line['metric']}"] = float(
                line["value"]
            )
    return found


def _list(values: Iterable[int]) -> str:
    return "-".join(map(str, values))


def _number(column: str, value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if column.endswith("SSIM") else f"{value:.2f}"


def _about(ablation: Ablation, results: Sequence[Result]) -> list[str]:
    network = ablation.recipe.network
    sizes = sorted({result.parameters for result in results})
    millions = " to ".join(f"{size / 1e6:.2f}" for size in dict.fromkeys([sizes[0], sizes[-1]]))
    steps = sorted({result.steps for result in results})
    seeds = sorted({result.seed for result in results})
    recipe = ablation.recipe
    lines = [
        f"network: {_list(network.channels)} channels, {_list(network.blocks)} blocks, "
        f"{millions} M parameters (the paper's: {_list(BASE.channels)}, {_list(BASE.blocks)}, about 31 M)",
        f"recipe {recipe.name}: {recipe.batch} windows of {recipe.patch} px a step, "
        f"ICRM `{recipe.clue_reuse}` with alpha {recipe.alpha:g}",
        f"budget {ablation.budget} a run, which was {_list(dict.fromkeys([steps[0], steps[-1]]))} steps; "
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}",
        f"PSNR in dB on {ablation.views} held-out views of each kind; the mean leaves `{UNDAMAGED}` out"
        + ("; ± is the standard deviation over seeds" if len(seeds) > 1 else ""),
        f"against {ablation.family.full}: difference of the means, seed by seed",
    ]
    if ablation.family.published:
        lines.append(
            f"paper: Table {ablation.family.published} as published, 100K steps on rain alone, tested on "
            "Rain100L; its order of the variants can be compared with ours, its values cannot"
        )
    return lines

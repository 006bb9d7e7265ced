"""One table of an ablation: mean and spread over seeds, and the difference to the full variant.

Variants of one seed begin with the same weights, where they have the same, and see the same pictures, so they
are compared seed by seed: the spread of those differences is smaller than that of the values.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from clearair.ablation.runs import Ablation, Result
from clearair.errors import DataError
from clearair.evaluation.published import CHANCE, ONE_SEED, published_tables
from clearair.network import BASE

UNDAMAGED = "clean"
"""The set that the mean leaves out: pictures without damage reach any value, up to 100 dB."""
MEAN = "mean"
MEAN_COLUMN = 2
"""After the variant and its difference."""
PAPER = "paper: "
"""Before the heading of what was published."""


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
    """The paper's values, by benchmark and metric."""


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


@dataclass(frozen=True)
class Grid:
    """A table as people read it."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    best: int | None
    """The line with the highest mean; None where it leads the next by no more than chance, or has none."""
    notes: tuple[str, ...]
    """Notes on how the table was made."""

    def markdown(self, level: int = 1) -> str:
        """For a file that is read as text, under a heading of a level; the best mean in bold."""
        text = [f"{'#' * level} {self.title}", ""]
        text += [f"| {' | '.join(self.heads)} |", f"|{' --- |' * len(self.heads)}"]
        for index, line in enumerate(self.lines):
            cells = list(line)
            if index == self.best:
                cells[MEAN_COLUMN] = f"**{cells[MEAN_COLUMN]}**"
            text.append(f"| {' | '.join(cells)} |")
        return "\n".join([*text, "", *(f"- {note}" for note in self.notes), ""])

    def html(self) -> str:
        """The same for a page; what the paper has is grey."""
        greys = [head.startswith(PAPER) for head in self.heads]
        heads = "".join(f"<th>{html.escape(head)}</th>" for head in self.heads)
        parts = [f"<h2>{html.escape(self.title)}</h2><table><tr>{heads}</tr>"]
        for index, line in enumerate(self.lines):
            cells = []
            for column, cell in enumerate(line):
                text = html.escape(cell)
                text = f"<b>{text}</b>" if index == self.best and column == MEAN_COLUMN else text
                cells.append(f'<td style="color: #888">{text}</td>' if greys[column] else f"<td>{text}</td>")
            parts.append(f'<tr class="ours">{"".join(cells)}</tr>')
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return "".join([*parts, f"</table><ul>{notes}</ul>"])


def grid(name: str, ablation: Ablation, results: Sequence[Result], notes: Sequence[str] = ()) -> Grid:
    """The table of at least one result, with notes on how it was made."""
    found = rows(ablation, results)
    kinds = list(found[0].psnr)
    columns = list(next((row.published for row in found if row.published), {}))
    heads = [ablation.family.question, f"against {ablation.family.full}", *kinds]
    lines = []
    for row in found:
        difference = "" if row.difference is None else row.difference[MEAN].text("+.2f")
        values = [row.psnr[kind].text() for kind in kinds]
        published = [_number(column, row.published.get(column)) for column in columns]
        lines.append((row.variant, difference, *values, *published))
    return Grid(
        f"Ablation: {name}",
        (*heads, *(f"{PAPER}{column}" for column in columns)),
        tuple(lines),
        _best(found, results),
        (*_about(ablation, results), *notes),
    )


def read_grid(path: Path) -> Grid:
    """The table in a `table.json`. Raises DataError for a file of something else."""
    try:
        table = json.loads(path.read_text())["table"]
        read = Grid(
            str(table["title"]),
            tuple(map(str, table["heads"])),
            tuple(tuple(map(str, line)) for line in table["lines"]),
            None if table["best"] is None else int(table["best"]),
            tuple(map(str, table["notes"])),
        )
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a table that `clearair ablate` wrote.") from error
    if len(read.heads) <= MEAN_COLUMN or read.best not in (None, *range(len(read.lines))):
        raise DataError(f"{path}: not a table that `clearair ablate` wrote.")
    if any(len(line) != len(read.heads) for line in read.lines):
        raise DataError(f"{path}: its lines are not as long as its heading.")
    return read


def to_dict(
    name: str, ablation: Ablation, results: Sequence[Result], notes: Sequence[str] = ()
) -> dict[str, Any]:
    """The same as plain values, for JSON, with every single result."""
    variants = {
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
        "table": asdict(grid(name, ablation, results, notes)),
        "variants": variants,
        "results": [result.to_dict() for result in results],
    }


def _with_mean(psnr: Mapping[str, float]) -> dict[str, float]:
    damaged = [value for kind, value in psnr.items() if kind != UNDAMAGED]
    return {MEAN: mean(damaged or psnr.values()), **psnr}


def _best(found: Sequence[Row], results: Sequence[Result]) -> int | None:
    """Return the row whose mean leads the next one's, seed by seed, by more than chance; None without one."""
    order = sorted(range(len(found)), key=lambda index: -found[index].psnr[MEAN].mean)
    if len(order) < 2:
        return None
    first, second = (
        {each.seed: _with_mean(each.psnr)[MEAN] for each in results if each.variant == found[index].variant}
        for index in order[:2]
    )
    common = [seed for seed in first if seed in second]
    if not common:
        return None
    lead = Spread.of([first[seed] - second[seed] for seed in common])
    return order[0] if lead.mean > (CHANCE if lead.deviation is None else lead.deviation) else None


def _published(number: int | None) -> dict[str, dict[str, float]]:
    return {
        row.method: {f"{benchmark} {metric}": value for (benchmark, metric), value in row.values.items()}
        for table in published_tables()
        if table.number == number
        for row in table.rows
    }


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
        f"recipe {recipe.name}: {recipe.batch * recipe.windows} windows of {recipe.patch} px a step, "
        f"ICRM `{recipe.clue_reuse}` with alpha {recipe.alpha:g}",
        f"budget {ablation.budget} a run, which was {_list(dict.fromkeys([steps[0], steps[-1]]))} steps; "
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}",
        f"PSNR in dB on {ablation.views} held-out views of each kind; the mean leaves `{UNDAMAGED}` out"
        + ("; ± is the standard deviation over seeds" if len(seeds) > 1 else ""),
        f"against {ablation.family.full}: difference of the means, seed by seed",
    ]
    lines += [ONE_SEED] if len(seeds) == 1 else []
    if ablation.family.published:
        lines.append(
            f"paper: Table {ablation.family.published} as published, 100K steps on rain alone, tested on "
            "Rain100L; its order of the variants can be compared with ours, its values cannot"
        )
    return lines

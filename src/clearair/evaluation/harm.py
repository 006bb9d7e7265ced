"""Measure harm: undamaged pictures must stay as they are, damaged ones must not get worse.

Shapes: H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from clearair.data.photos import find_pairs, find_photos
from clearair.data.pixels import load_pixels, reduced, to_bytes
from clearair.data.plain import photographed, plain_pictures
from clearair.data.splits import held_out
from clearair.data.validation import REAL, ValidationSet
from clearair.evaluation.measuring import Restore
from clearair.evaluation.metrics import psnr

Damaged = tuple[str, str, NDArray[np.uint8], NDArray[np.uint8]]
"""Kind, name, and pixels (H, W, 3) of a picture, damaged and clean."""

WORST = 30.0
"""PSNR in dB that the worst of all undamaged pictures must reach."""
NEARLY, NEARLY_ALL = 40.0, 0.99
"""PSNR in dB that a share of them must reach: a change that is hardly seen."""
TOLERANCE = 0.3
"""A damaged picture that ends more dB than this below its input was harmed."""
MOST_HARMED = 0.01
"""Share of the damaged pictures that may be harmed."""
_LISTED = 8
"""Pictures that a report lists, the worst ones."""


@dataclass(frozen=True)
class Undamaged:
    """An undamaged picture after restoring."""

    name: str
    group: str
    """"held out", or what is unusual about it."""
    size: str
    """"whole", or "reduced", as pictures are sent around."""
    psnr: float
    """Against itself as it came in, in dB."""


@dataclass(frozen=True)
class Change:
    """A damaged picture, before and after."""

    name: str
    kind: str
    input_psnr: float
    psnr: float

    @property
    def is_harmed(self) -> bool:
        """Whether it came out worse than it went in."""
        return self.psnr < self.input_psnr - TOLERANCE


@dataclass(frozen=True)
class Harm:
    """Results for pictures that a restorer should leave alone, or improve."""

    undamaged: tuple[Undamaged, ...]
    changes: tuple[Change, ...]

    @property
    def worst(self) -> float:
        """The lowest PSNR of an undamaged picture."""
        return min(each.psnr for each in self.undamaged)

    @property
    def unchanged_share(self) -> float:
        """Share of the undamaged pictures that reach `NEARLY`."""
        return sum(each.psnr >= NEARLY for each in self.undamaged) / len(self.undamaged)

    @property
    def harmed(self) -> int:
        """How many damaged pictures were harmed."""
        return sum(change.is_harmed for change in self.changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "worst": self.worst,
            "kept_share": self.unchanged_share,
            "harmed": self.harmed,
            "damaged": len(self.changes),
            "kept": [asdict(each) for each in self.undamaged],
            "changes": [asdict(each) for each in self.changes],
        }


def measure_harm(
    restore: Restore,
    data: Path,
    sets: Sequence[ValidationSet],
    *,
    plain: Mapping[str, NDArray[np.uint8]] | None = None,
    every: int = 1,
    on_image: Callable[[str, str, float], None] | None = None,
) -> Harm:
    """Restore undamaged photographs, whole and reduced, synthetically damaged views, and real pairs.

    The undamaged photographs are the held-out and the unusual ones. Of `sets` the synthetically damaged views
    are restored. Held-out real pairs are restored whole, as people have them: a crop may show nothing but a
    black object, which nobody would take for a photo.
    `plain` are pictures that look damaged and are not, by default those of `clearair.data.plain`. `every`
    takes each n-th photograph, plain picture and pair only. `on_image` is called with (group or kind, name,
    PSNR) after each. Raises DataError when there are no photographs.
    """
    undamaged = []
    for name, group, size, image in _undamaged(data, every):
        undamaged.append(Undamaged(name, group, size, psnr(restore(image), image)))
        if on_image:
            on_image(f"{group}, {size}", name, undamaged[-1].psnr)
    plain = plain_pictures() | photographed() if plain is None else plain
    for name, image in list(plain.items())[::every]:
        undamaged.append(Undamaged(name, "plain", "whole", psnr(restore(image), image)))
        if on_image:
            on_image("plain", name, undamaged[-1].psnr)
    changes = []
    for kind, name, damaged, clean in (*_views(sets), *_real_pairs(sets, data, every)):
        changes.append(Change(name, kind, psnr(damaged, clean), psnr(restore(damaged), clean)))
        if on_image:
            on_image(kind, name, changes[-1].psnr)
    return Harm(tuple(undamaged), tuple(changes))


def _undamaged(data: Path, every: int) -> Iterator[tuple[str, str, str, NDArray[np.uint8]]]:
    """Name, group, size and pixels of each undamaged photograph, whole and reduced."""
    root = data / "train" / "clean"
    photos = held_out(data).undamaged(find_photos(root))
    for path, group in list(photos.items())[::every]:
        pixels = load_pixels(path)
        small = reduced(pixels)
        shows = {"whole": pixels} if small is pixels else {"whole": pixels, "reduced": small}
        for size, shown in shows.items():
            yield path.relative_to(root).as_posix(), group, size, shown.permute(1, 2, 0).numpy()


def _views(sets: Sequence[ValidationSet]) -> Iterator[Damaged]:
    """The synthetically damaged views."""
    for views in sets:
        if views.kind != "clean" and views.kind not in REAL:
            arrays = _arrays(views.damaged), _arrays(views.clean)
            for name, damaged, clean in zip(views.names, *arrays, strict=True):
                yield views.kind, name, damaged, clean


def _real_pairs(sets: Sequence[ValidationSet], data: Path, every: int) -> Iterator[Damaged]:
    """Each n-th held-out pair of really damaged photographs, whole, of the kinds among the sets."""
    asked, apart = {views.kind for views in sets}, held_out(data)
    for kind, folder in REAL.items():
        pairs = apart.split(find_pairs(data, folder), folder)[1] if kind in asked else []
        for files in pairs[::every]:
            damaged, clean = (load_pixels(path).permute(1, 2, 0).numpy() for path in files)
            yield kind, files[0].relative_to(data / "train").as_posix(), damaged, clean


def harm_report(harm: Harm) -> str:
    """Markdown: undamaged pictures by group and the worst of them, damaged ones by kind and the worst."""
    groups = dict.fromkeys(
        [*(each.size for each in harm.undamaged), *(each.group for each in harm.undamaged)]
    )
    lines = ["| undamaged | pictures | worst | 5th percentile | mean |", "| --- | --- | --- | --- | --- |"]
    for group in ("all", *groups):
        values = [each.psnr for each in harm.undamaged if group in ("all", each.size, each.group)]
        lines.append(
            f"| {group} | {len(values)} | {min(values):.2f} | {np.percentile(values, 5):.2f} | "
            f"{np.mean(values):.2f} |"
        )
    lines += [
        "",
        f"Worst: {harm.worst:.2f} dB, {_verdict(harm.worst >= WORST)} {WORST:.0f}. At least {NEARLY:.0f} dB: "
        f"{harm.unchanged_share:.1%}, {_verdict(harm.unchanged_share >= NEARLY_ALL)} {NEARLY_ALL:.0%}.",
        "",
    ]
    lines += [
        f"- {each.name} ({each.group}, {each.size}): {each.psnr:.2f} dB"
        for each in sorted(harm.undamaged, key=lambda each: each.psnr)[:_LISTED]
    ]
    lines += [
        "",
        f"| damaged | pictures | more than {TOLERANCE} dB below their input | worst change |",
        "| --- | --- | --- | --- |",
    ]
    kinds = list(dict.fromkeys(change.kind for change in harm.changes))
    for kind in ("all", *kinds) if kinds else ():
        changes = [change for change in harm.changes if kind in ("all", change.kind)]
        harmed = sum(change.is_harmed for change in changes)
        worst = min(change.psnr - change.input_psnr for change in changes)
        lines.append(f"| {kind} | {len(changes)} | {harmed} | {worst:+.2f} |")
    if harm.changes:
        share = harm.harmed / len(harm.changes)
        bound = f"{'less' if share < MOST_HARMED else 'not less'} than {MOST_HARMED:.0%}"
        lines += ["", f"Harmed: {share:.1%}, {bound}."]
    lines.append("")
    lines += [
        f"- {change.kind}, {change.name}: {change.input_psnr:.2f} -> {change.psnr:.2f} dB"
        for change in sorted(harm.changes, key=lambda change: change.psnr - change.input_psnr)[:_LISTED]
        if change.is_harmed
    ]
    return "\n".join(lines).rstrip()


def _arrays(views: Tensor) -> NDArray[np.uint8]:
    """(B, 3, H, W) in [0, 1] -> (B, H, W, 3)."""
    pixels: NDArray[np.uint8] = to_bytes(views).permute(0, 2, 3, 1).numpy()
    return pixels


def _verdict(reached: bool) -> str:
    return "reaches" if reached else "misses"

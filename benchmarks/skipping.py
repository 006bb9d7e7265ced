"""Measure cost and savings of skipping tiles in which no visible change is expected.

    python benchmarks/skipping.py --data DATA
    python benchmarks/skipping.py --data DATA --parts

Restores every picture twice, with and without skipping, in turns. The first command takes the benchmark sets,
the second held-out photographs, enlarged and damaged in a part only. A place is 64 x 64 pixels; it is spoilt
when the two results differ visibly there, because of remaining damage or a seam. Times are of the processor,
for perceiving and restoring.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from command_line import parser_of
from markdown_tables import print_head
from numpy.typing import NDArray
from sample_pictures import to_array

from clearair import Restorer
from clearair.data.degradations import KINDS, degrade_in_parts
from clearair.data.photos import find_clean
from clearair.data.pixels import load_pixels
from clearair.data.splits import held_out
from clearair.evaluation.benchmarks import BENCHMARKS, available
from clearair.evaluation.metrics import psnr
from clearair.image import Photo, to_depth
from clearair.runtime.protocol import Runtime
from clearair.similarity import changes_visibly
from clearair.tiling import Window
from clearair.tiling.skipping import PROBE

Pixels = NDArray[np.uint8]

PLACE = 64
"""Side in pixels of the places in which results are compared."""
LEAST = 480
"""Shorter side in pixels of photographs that are damaged in parts; smaller ones are left out."""


class Timed:
    """A runtime that adds up what its probes take."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.probing = 0.0
        """In seconds of the processor."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.runtime, name)

    def restore(self, pixels: Any, percepts: Any, judgement: Any, window: Window, **options: Any) -> Any:
        """Restore a window; what is no higher than a probe is one."""
        began = time.process_time()
        restored = self.runtime.restore(pixels, percepts, judgement, window, **options)
        if window.height <= PROBE:
            self.probing += time.process_time() - began
        return restored


@dataclass
class Row:
    """What was measured on the pictures of one set."""

    name: str
    tiles: int = 0
    left: int = 0
    psnr: list[tuple[float, float]] = field(default_factory=list)
    """In dB, without and with skipping."""
    seconds: list[tuple[float, float]] = field(default_factory=list)
    places: int = 0
    spoilt: int = 0
    probing: list[tuple[float, float]] = field(default_factory=list)
    """Seconds of probes, and in all, where no tile was left."""

    def add(self, restorer: Restorer, damaged: Pixels, clean: Pixels, first: bool) -> None:
        """Restore a picture both ways; `first` says which comes first."""
        results: dict[bool, Pixels] = {}
        took: dict[bool, float] = {}
        for skips in (first, not first):
            restorer.runtime.probing, began = 0.0, time.process_time()
            restored, _, outcome = restorer.restore_photo(Photo(damaged), skip_tiles=skips)
            took[skips], results[skips] = time.process_time() - began, restored.pixels
            if outcome.tiles == 0:
                return  # nothing was to be done
            if skips:
                self.tiles += outcome.tiles
                self.left += outcome.tiles_left
                if outcome.tiles_left == 0:
                    self.probing.append((restorer.runtime.probing, took[skips]))
        self.psnr.append((psnr(results[False], clean), psnr(results[True], clean)))
        self.seconds.append((took[False], took[True]))
        whole, spared = (to_depth(results[skips], np.dtype(np.float32)) for skips in (False, True))
        for top in range(0, len(whole), PLACE):
            for side in range(0, whole.shape[1], PLACE):
                at = np.s_[top : top + PLACE, side : side + PLACE]
                self.places += 1
                self.spoilt += changes_visibly(whole[at], spared[at] - whole[at])

    def __str__(self) -> str:
        if not self.psnr:
            return f"| {self.name} | 0 | | | | | | | |"
        without, skipping = np.mean(self.psnr, axis=0)
        lost = [before - after for before, after in self.psnr]
        before, after = np.sum(self.seconds, axis=0)
        probing, in_all = np.sum(self.probing, axis=0) if self.probing else (0, 1)
        left, spoilt = f"{self.left} of {self.tiles}", f"{self.spoilt / self.places:.2%}"
        quality = f"{without:.2f} | {skipping:.2f} | {without - skipping:.4f} | {max(lost):.3f}"
        spent = f"{1 - after / before:.1%} | {probing / in_all:.1%}"
        return f"| {self.name} | {len(lost)} | {left} | {quality} | {spoilt} | {spent} |"


COLUMNS = (
    "set",
    "restored",
    "tiles left",
    "PSNR without",
    "with skipping",
    "lost",
    "most of one",
    "places spoilt",
    "time saved",
    "probes where no tile was left",
)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="compact", help="name or folder")
    parser.add_argument("--tile", type=int, help="side of the tiles in pixels; by default as `restore` does")
    parser.add_argument("--every", type=int, default=1, help="take each n-th picture only")
    parser.add_argument("--sets", nargs="*", help="names of benchmarks, or with --parts kinds of damage")
    parser.add_argument("--parts", action="store_true", help="held-out photographs damaged in a part only")
    parser.add_argument("--side", type=int, default=1440, help="their shorter side in pixels")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    restorer = Restorer.from_pretrained(options.model, device="cpu", tile=options.tile or "auto")
    restorer.runtime = Timed(restorer.runtime)
    restorer(np.zeros((PLACE, PLACE, 3), np.uint8), damage="noise")  # what is made once is not timed
    print_head(*COLUMNS)
    total = Row("all")
    names = options.sets or (
        KINDS if options.parts else [n for n in available(options.data) if " to " not in n]
    )
    for name in names:
        row = Row(name)
        if options.parts:
            pictures = damaged_in_parts(options.data, name, options.side, options.every)
        else:
            pictures = in_pairs(options.data, name, options.every)
        for index, (damaged, clean) in enumerate(pictures):
            row.add(restorer, damaged, clean, first=index % 2 == 0)
        print(row, flush=True)
        for part in ("psnr", "seconds", "probing", "tiles", "left", "places", "spoilt"):
            setattr(total, part, getattr(total, part) + getattr(row, part))
    print(total)


def in_pairs(data: Path, name: str, every: int) -> Iterator[tuple[Pixels, Pixels]]:
    """The pictures of a benchmark, damaged and clean."""
    for case in BENCHMARKS[name].cases(data, every=every):
        if case.clean is not None:
            yield case.damaged, case.clean


def damaged_in_parts(data: Path, kind: str, side: int, every: int) -> Iterator[tuple[Pixels, Pixels]]:
    """Held-out photographs with a part that is damaged, and without; the shorter side has `side` pixels."""
    photos = held_out(data).split(find_clean(data), "clean")[1]
    large = [each for each in map(load_pixels, photos) if min(each.shape[1:]) >= LEAST]
    for index, pixels in enumerate(large[::every]):
        scale = side / min(pixels.shape[1:])
        size = (round(pixels.shape[1] * scale), round(pixels.shape[2] * scale))
        clean = F.interpolate(pixels[None].float() / 255, size, mode="bicubic", antialias=True).clamp(0, 1)
        generator = torch.Generator().manual_seed(100 * KINDS.index(kind) + index)
        yield (
            to_array(degrade_in_parts(clean, [(kind,)], [()], generator).image[0].clamp(0, 1)),
            to_array(clean[0]),
        )


if __name__ == "__main__":
    main()

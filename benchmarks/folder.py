"""Measure how fast a folder of photos is restored, one after another and side by side.

    python benchmarks/folder.py --pictures 24 --least 200 --most 420 --jobs 1 2

Writes photos of random sizes into a temporary folder and restores them with each number of jobs in turn, in
several rounds. Prints medians: photos a second, the same as a multiple of the first, the processor time a
photo takes, and the share of the cores' time that was used. Compare the numbers of one run only. Waiting
threads of ONNX Runtime use their core for a moment, so a busy core is not always a useful one.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
import skimage.transform
from command_line import parser_of

from clearair import Restorer
from clearair.graphs import usable_cores
from clearair.image import Photo, write_photo


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--least", type=int, default=200, help="shortest side in pixels")
    parser.add_argument("--most", type=int, default=420, help="longest side in pixels")
    parser.add_argument("--format", default="jpg")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, usable_cores()])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backend", default="onnx", choices=["onnx", "torch"])
    parser.add_argument("--memory-budget", metavar="SIZE")
    options = parser.parse_args()
    restorer = Restorer.from_pretrained(backend=options.backend, memory_budget=options.memory_budget)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_photos(folder / "photos", options.pictures, options.least, options.most, options.format)
        for jobs in options.jobs:  # opens all that is opened late
            restore(restorer, folder, jobs, part=2)
        taken: dict[int, list[tuple[float, float]]] = {jobs: [] for jobs in options.jobs}
        for _ in range(options.rounds):
            for jobs in options.jobs:
                taken[jobs].append(restore(restorer, folder, jobs))
    first = 0.0
    print(f"{'jobs':>4}  {'photos/s':>8}  {'times':>5}  {'CPU s each':>10}  {'busy':>5}")
    for jobs, rounds in taken.items():
        seconds, busy = (statistics.median(column) for column in zip(*rounds, strict=True))
        rate = options.pictures / seconds
        first = first or rate
        share = busy / seconds / usable_cores()
        print(f"{jobs:4d}  {rate:8.2f}  {rate / first:5.2f}  {busy / options.pictures:10.2f}  {share:5.0%}")


def make_photos(folder: Path, count: int, least: int, most: int, format_: str) -> None:
    """Noisy photos of sides between `least` and `most`."""
    folder.mkdir()
    drawn = np.random.default_rng(0)
    photo = skimage.data.coffee()
    for number in range(count):
        height, width = (int(side) for side in drawn.integers(least, most + 1, 2))
        pixels = 255 * skimage.transform.resize(photo, (height, width))
        noisy = pixels + drawn.normal(0, 15, pixels.shape)
        write_photo(Photo(noisy.clip(0, 255).astype(np.uint8)), folder / f"{number:04d}.{format_}")


def restore(restorer: Restorer, folder: Path, jobs: int, part: int | None = None) -> tuple[float, float]:
    """Seconds that passed, and processor seconds of this process."""
    photos = sorted((folder / "photos").iterdir())[:part]
    began, used = time.perf_counter(), time.process_time()
    for record in restorer.restore_many(photos, folder / "out", overwrite=True, damage="noise", jobs=jobs):
        if record.error:
            raise SystemExit(record.error)
    return time.perf_counter() - began, time.process_time() - used


if __name__ == "__main__":
    main()

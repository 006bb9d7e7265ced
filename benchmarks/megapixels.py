"""Time and memory of `clearair restore` against the size of the picture, and a plot of both.

    python benchmarks/megapixels.py --sizes 1 2 6 12 24 50 --plot docs/images/megapixels.png

Each size is restored by a command of its own, a noisy JPEG made of scikit-image's astronaut. Memory is the
command's peak resident size. Work is the number of pixels in all tiles, overlaps included, for each pixel of
the photo. Takes about four seconds a megapixel on two cores; reads rusage, so it runs on Linux.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from command_line import parser_of
from measuring import processor
from PIL import Image
from sample_pictures import noisy_astronaut

from clearair.sizing import AUTO_SIDE
from clearair.tiling import best_side, plan_tiles

WATCHED = """
import os, sys, time
began = time.perf_counter()
child = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ)
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - began, usage.ru_maxrss)
sys.exit(bool(status))
"""
"""A small separate process: Linux counts the memory of the parent as memory of the started process."""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1, 2, 6, 12, 24, 50], metavar="MEGAPIXELS")
    parser.add_argument("--backend", default="onnx")
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="more for the command; last")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = []
    print(f"{processor()['processor']}\n")
    print("| megapixels | seconds | seconds a megapixel | work a pixel | peak MB |\n|---|---|---|---|---|")
    for size in options.sizes:
        seconds, peak = restored(size, ["--backend", options.backend, *options.options])
        each = {"megapixels": size, "seconds": seconds, "megabytes": peak, "work": work(size)}
        found.append(each)
        speed = f"{seconds:.1f} | {seconds / size:.2f}"
        print(f"| {size:g} | {speed} | {each['work']:.2f} | {peak:.0f} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps({**processor(), "sizes": found}, indent=1) + "\n")
    if options.plot:
        draw(found, options.plot)


def shape(megapixels: float) -> tuple[int, int]:
    """Height and width of a photo of 4 by 3."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    return height, round(height * 4 / 3)


def work(megapixels: float) -> float:
    """Pixels in all tiles, for each pixel of the photo, where memory does not ask for smaller tiles."""
    height, width = shape(megapixels)
    tiling = plan_tiles(height, width, best_side(height, width, AUTO_SIDE["cpu"]))
    rows, columns = (sum(span.stop - span.start for span in spans) for spans in (tiling.rows, tiling.columns))
    return rows * columns / (height * width)


def restored(megapixels: float, options: list[str]) -> tuple[float, float]:
    """Seconds and peak resident megabytes of one command."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "photo.jpg"
        Image.fromarray(noisy_astronaut(*shape(megapixels))).save(source, quality=92)
        command = ["-m", "clearair", "restore", str(source), "-o", f"{folder}/out", "--quiet", *options]
        done = subprocess.run(
            [sys.executable, "-c", WATCHED, *command], capture_output=True, text=True, check=False
        )
    if done.returncode:
        sys.exit(f"clearair restore failed on {megapixels:g} megapixels: {done.stderr}")
    seconds, kilobytes = map(float, done.stdout.split())
    return seconds, kilobytes * 1024 / 1e6


def draw(found: list[dict[str, float]], path: Path) -> None:
    import matplotlib.pyplot as plt

    sizes = [each["megapixels"] for each in found]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for axes, key, label in ((left, "seconds", "seconds"), (right, "megabytes", "peak memory in MB")):
        axes.plot(sizes, [each[key] for each in found], "o-")
        axes.set(xlabel="megapixels", ylabel=label, xlim=0, ylim=0)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()

"""Measure peak memory and time of restoring large photos.

    python benchmarks/peak.py 12:jpg:700MB 200:tif:1.5GB --tiles 4
    python benchmarks/peak.py 1:jpg 2:jpg 4:jpg 8:jpg 12:jpg

Each argument is MEGAPIXELS:FORMAT[:BUDGET]. A noisy photo of that size is restored by `clearair restore` in a
process of its own, with `--memory-budget`. Ends with 1 when one takes more than a budget allows, by 10 %.
With `--tiles N` the network runs for the first N tiles only and the others are inverted: memory use is
realistic, but the time is not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from command_line import parser_of

ALLOWED = 1.1


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("pictures", nargs="+", metavar="MEGAPIXELS:FORMAT[:BUDGET]")
    parser.add_argument("--tiles", type=int, help="run the network for this many tiles only")
    parser.add_argument("--backend", default="onnx", choices=["onnx", "torch"])
    options = parser.parse_args()
    over = False
    print(f"{'Mpx':>5}  {'format':6}  {'budget':>7}  {'peak MB':>7}  {'seconds':>7}  {'s/Mpx':>6}")
    for said in options.pictures:
        megapixels, suffix, *rest = said.split(":")
        budget = rest[0] if rest else None
        size = float(megapixels)
        with tempfile.TemporaryDirectory() as name:
            photo = make_photo(Path(name) / f"photo.{suffix}", size)
            peak, seconds = restored(photo, budget, options.backend, options.tiles)
        from clearair.budget import parse_size

        over = over or (budget is not None and peak > ALLOWED * parse_size(budget))
        print(
            f"{size:5g}  {suffix:6}  {budget or '-':>7}  {peak / 1e6:7.0f}  {seconds:7.1f}  "
            f"{seconds / size:6.2f}",
            flush=True,
        )
    sys.exit(over)


def make_photo(path: Path, megapixels: float) -> Path:
    """A noisy photo of a ratio of four to three, written without having it in memory."""
    import pyvips
    import skimage.data

    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    height = round(megapixels * 1e6 / width)
    photo = skimage.data.coffee()
    small = pyvips.Image.new_from_memory(
        np.ascontiguousarray(photo).data, photo.shape[1], photo.shape[0], 3, "uchar"
    )
    large = small.resize(width / small.width, vscale=height / small.height)
    noise = pyvips.Image.gaussnoise(large.width, large.height, mean=0, sigma=12)
    (large + noise).cast("uchar").copy(interpretation="srgb").write_to_file(str(path))
    return path


def restored(photo: Path, budget: str | None, backend: str, tiles: int | None) -> tuple[int, float]:
    """The most bytes that a process had which restored a photo, and the seconds that it took."""
    limits = [] if budget is None else ["--memory-budget", budget]
    words = ["restore", str(photo), "--damage", "noise", "--backend", backend, "--quiet", *limits]
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import peak; peak.run({tiles})"
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", code, *words])
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"clearair {' '.join(words)} failed")
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024), time.perf_counter() - began


def run(tiles: int | None) -> None:
    """The command line, with a network that runs for so many tiles only."""
    from clearair.apps.cli.program import main as program

    if tiles is not None:
        from clearair.runtime.onnx import OnnxRuntime

        whole, done = OnnxRuntime.restore, 0

        def some(runtime: Any, pixels: Any, *rest: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            return whole(runtime, pixels, *rest, **options) if done <= tiles else 1 - pixels

        OnnxRuntime.restore = some  # type: ignore[method-assign]
    program()


if __name__ == "__main__":
    main()

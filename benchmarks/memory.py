"""Measure whether memory stays flat over a batch of pictures of many sizes.

    python benchmarks/memory.py --pictures 1000
    python benchmarks/memory.py --pictures 1000 --backend onnx
    python benchmarks/memory.py --tiles 64 128 256 512

Restores pictures of random sizes, prints the resident memory every 50, and ends with 1 when after the first
50 it ever grows by more than 10 %. `torch` is an untrained small network, `onnx` the model that ships. With
`--tiles` it prints instead what a tile of each side takes in `onnx`. Reads /proc, so it runs on Linux.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from command_line import parser_of
from measuring import peak

os.environ.setdefault("LRU_CACHE_CAPACITY", "1")  # as the command `restore` does, before PyTorch is loaded

import numpy as np
import torch

from clearair.finishing import FinishedNetwork
from clearair.image import Photo
from clearair.memory import give_back, resident
from clearair.models.stamp import PerceiverStamp
from clearair.network import TINY
from clearair.perception import load_compact
from clearair.restorer import Restorer
from clearair.runtime.pytorch import PyTorchRuntime
from clearair.tiling import Window

STEP = 50
"""Pictures between two measurements, and until memory has to be flat."""
ALLOWED = 1.1


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--least", type=int, default=33, help="shortest side in pixels")
    parser.add_argument("--most", type=int, default=200, help="longest side in pixels")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--backend", default="torch", choices=["onnx", "torch"])
    parser.add_argument("--tiles", type=int, nargs="+", metavar="SIDE", help="measure tiles of these sides")
    options = parser.parse_args()
    if options.tiles:
        measure_tiles(options.tiles)
        return
    torch.set_num_threads(options.threads)
    restorer = make_restorer() if options.backend == "torch" else Restorer.from_pretrained(backend="onnx")
    drawn = np.random.default_rng(0)
    measured: list[float] = []
    began = time.perf_counter()
    for number in range(1, options.pictures + 1):
        height, width = drawn.integers(options.least, options.most + 1, 2)
        restorer.restore_photo(Photo(drawn.integers(0, 256, (height, width, 3), np.uint8)))
        if number % STEP == 0:
            measured.append(resident() / 1e6)
            seconds = (time.perf_counter() - began) / STEP
            print(f"{number:5d} pictures  {measured[-1]:6.0f} MB  {seconds:.3f} s each", flush=True)
            began = time.perf_counter()
    if len(measured) < 2:
        sys.exit(f"nothing to compare: measure more than {STEP} pictures")
    growth = max(measured[1:]) / measured[0]
    print(f"most after the first {STEP}: {growth:.2f} times what it was then")
    sys.exit(growth > ALLOWED)


def make_restorer() -> Restorer:
    perceiver = load_compact()
    stamp = PerceiverStamp.of(perceiver)
    torch.manual_seed(0)
    network = FinishedNetwork(
        replace(
            TINY,
            quality_dim=stamp.quality_dim,
            content_dim=stamp.content_dim,
            degradation_dim=stamp.degradation_dim,
            region_count=stamp.region_count,
        )
    )
    return Restorer(PyTorchRuntime(network, device="cpu", precision="fp32"), perceiver)


def measure_tiles(sides: Sequence[int]) -> None:
    """Print the most memory that a tile of each side takes."""
    restorer = Restorer.from_pretrained(backend="onnx")
    side = max(sides)
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    percepts = restorer.perceiver.perceive_image(pixels)
    judgement = restorer.runtime.judge(pixels, percepts)
    for side in (min(sides), *sides):  # the first one opens the graph
        tile = np.ascontiguousarray(pixels[:side, :side]).astype(np.float32) / 255
        give_back()
        before = resident()
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak
        restorer.runtime.restore(tile, percepts, judgement, Window(0, 0, side, side))
        taken = (peak() - before) / 1e6
        print(f"{side:5d} px  {taken:6.0f} MB  {1e6 * taken / side**2:6.0f} bytes a pixel", flush=True)


if __name__ == "__main__":
    main()

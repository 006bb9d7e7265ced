"""Measure whether memory stays flat over a batch of pictures of many sizes.

    python benchmarks/memory.py --pictures 1000

Restores pictures of random sizes with an untrained small network, prints the resident memory every 50, and
ends with 1 when after the first 50 it ever grows by more than 10 %. Reads /proc, so it runs on Linux.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("LRU_CACHE_CAPACITY", "1")  # as the command `restore` does, before PyTorch is loaded

import numpy as np
import torch

from clearair.finishing import FinishedNetwork
from clearair.image import Photo
from clearair.models.stamp import PerceiverStamp
from clearair.network import TINY
from clearair.perception import load_compact
from clearair.restorer import Restorer
from clearair.runtime.pytorch import PyTorchRuntime

STEP = 50
"""Pictures between two measurements, and until memory has to be flat."""
ALLOWED = 1.1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--least", type=int, default=33, help="shortest side in pixels")
    parser.add_argument("--most", type=int, default=200, help="longest side in pixels")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    restorer = make_restorer()
    drawn = np.random.default_rng(0)
    measured: list[float] = []
    began = time.perf_counter()
    for number in range(1, options.pictures + 1):
        height, width = drawn.integers(options.least, options.most + 1, 2)
        restorer.restore_photo(Photo(drawn.integers(0, 256, (height, width, 3), np.uint8)))
        if number % STEP == 0:
            measured.append(resident())
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


def resident() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()

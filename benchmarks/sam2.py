"""What SAM 2 costs at full Hiera-Tiny size, with random weights: seconds to load and to segment, and memory.

    python benchmarks/sam2.py [--device cpu] [--size 1200x800] [--masks]

Time and memory do not depend on the weights' values, except for how many masks survive to be enlarged: random
weights leave none, so --masks keeps them all, which is the worst case.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", default="1200x800", help="WIDTHxHEIGHT of the picture")
    parser.add_argument("--masks", action="store_true", help="keep every mask")
    options = parser.parse_args()

    import torch
    from transformers import Sam2Config, Sam2Model

    from clearair.perception import load_regions
    from clearair.perception.sam2 import MaskSettings

    width, height = map(int, options.size.split("x"))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    settings = MaskSettings(predicted_iou=0, stability=0) if options.masks else MaskSettings()
    with tempfile.TemporaryDirectory() as folder:
        Sam2Model(Sam2Config()).save_pretrained(folder)
        size = (Path(folder) / "model.safetensors").stat().st_size
        before = _peak()
        start = time.perf_counter()
        regions = load_regions("sam2", folder, device=options.device, settings=settings)
        loading = time.perf_counter() - start
    regions.segment([image])
    start = time.perf_counter()
    regions.segment([image])
    seconds = time.perf_counter() - start
    print(
        f"file {size / 1e6:.0f} MB; load {loading:.1f} s; {width} x {height} px {seconds:.2f} s with "
        f"{torch.get_num_threads()} threads on {options.device}; peak memory {_peak():.2f} GB "
        f"({before:.2f} GB before loading)"
    )
    if options.device == "cuda":
        print(f"peak GPU memory {torch.cuda.max_memory_allocated() / 1e9:.2f} GB")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()

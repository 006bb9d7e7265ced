"""Measure load time, segmentation time and memory of SAM 2 at full Hiera-Tiny size, with random weights.

    python benchmarks/sam2.py [--device cpu] [--size 1200x800] [--masks]

Time and memory do not depend on the weights' values, except for how many masks survive to be enlarged: random
weights leave none, so --masks keeps them all, which is the worst case.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from command_line import parser_of, size_of
from measuring import clock_seconds, peak
from sample_pictures import noise


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", default="1200x800", help="WIDTHxHEIGHT of the picture")
    parser.add_argument("--masks", action="store_true", help="keep every mask")
    options = parser.parse_args()

    import torch
    from transformers import Sam2Config, Sam2Model

    from clearair.perception import load_regions
    from clearair.perception.sam2 import MaskSettings

    width, height = size_of(options.size)
    image = noise(height, width)
    settings = MaskSettings(predicted_iou=0, stability=0) if options.masks else MaskSettings()
    with tempfile.TemporaryDirectory() as folder:
        Sam2Model(Sam2Config()).save_pretrained(folder)
        size = (Path(folder) / "model.safetensors").stat().st_size
        before = peak() / 1e9
        start = time.perf_counter()
        regions = load_regions("sam2", folder, device=options.device, settings=settings)
        loading = time.perf_counter() - start
    regions.segment([image])
    seconds = clock_seconds(lambda: regions.segment([image]))
    print(
        f"file {size / 1e6:.0f} MB; load {loading:.1f} s; {width} x {height} px {seconds:.2f} s with "
        f"{torch.get_num_threads()} threads on {options.device}; peak memory {peak() / 1e9:.2f} GB "
        f"({before:.2f} GB before loading)"
    )
    if options.device == "cuda":
        print(f"peak GPU memory {torch.cuda.max_memory_allocated() / 1e9:.2f} GB")


if __name__ == "__main__":
    main()

"""Measure time and memory of DA-CLIP at full size, with random weights if the published file is missing.

    python benchmarks/daclip.py --make daclip.pt       a file of the published layout and size
    python benchmarks/daclip.py daclip.pt              seconds and memory of loading and of looking

Seconds are CPU time of all threads, so that a busy machine matters little. Reads /proc, so it runs on Linux.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from command_line import parser_of
from measuring import peak, processor_seconds
from sample_pictures import noise

from clearair.perception import load_degradation
from clearair.perception.daclip.config import DaClipSize
from clearair.perception.daclip.model import DaClip


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--make", action="store_true", help="write FILE instead of measuring it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.make:
        make(options.file)
    else:
        measure(options.file, options.rounds)


def make(path: Path) -> None:
    torch.manual_seed(0)
    state = {}
    for name, value in DaClip(DaClipSize()).state_dict().items():
        if name.startswith("visual_control."):
            state[name] = 0.02 * torch.randn_like(value)
            continue
        value = 0.02 * torch.randn_like(value)
        if name.startswith("visual."):
            state[name] = value  # the same storage twice, as in the published file
        state[f"clip.{name.removeprefix('text.')}"] = value
    torch.save({"epoch": 0, "state_dict": state}, path)
    print(f"{path}: {path.stat().st_size / 1e6:.0f} MB")


def measure(path: Path, rounds: int) -> None:
    print(
        f"file {path.stat().st_size / 1e6:.0f} MB, {torch.get_num_threads()} threads, "
        f"PyTorch alone: {peak() / 1e9:.2f} GB"
    )
    began = time.process_time()
    perceiver = load_degradation("daclip", weights=path)
    count = sum(value.numel() for value in perceiver.model.parameters())
    print(
        f"loading {time.process_time() - began:.1f} s, peak {peak() / 1e9:.2f} GB; "
        f"{count / 1e6:.1f} M weights stay"
    )
    picture = noise(1080, 1920)
    labels = (np.arange(1080)[:, None] // 270 * 4 + np.arange(1920) // 480).astype(np.uint8)
    for name, regions in (("whole picture", None), ("and 16 regions", [labels])):
        taken = []
        for _ in range(rounds):
            taken.append(processor_seconds(partial(perceiver.identify, [picture], labels=regions)))
        print(f"1920 x 1080, {name}: {np.median(taken):.2f} s, peak {peak() / 1e9:.2f} GB")


if __name__ == "__main__":
    main()

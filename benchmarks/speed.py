"""Measure the speed of restoration as ratios within one run: to a matrix product, and to PyTorch.

    python benchmarks/speed.py --threads 2 --rounds 7 --json speed.json
    python benchmarks/speed.py --base-model base-onnx

Prints a Markdown table of medians over interleaved rounds: a 512 x 512 window of `compact` in ONNX Runtime
and in PyTorch (fp32, and bf16 where the processor multiplies it), a window of `base`, the perceivers beside
`compact` on a whole picture of 1 megapixel, and the command from its start to its end. A share is the
arithmetic of the convolutions and linear layers in a second, over that of a large matrix product in the same
round. Takes about five minutes on two cores.

`--base-model` adds a window of `base` in ONNX Runtime. It needs a folder that `clearair export` wrote, of a
model of that configuration; random weights do. Exporting it takes about ten minutes of one core:

    python -c "from clearair.finishing import FinishedNetwork; from clearair.models import save_model
    from clearair.network import BASE; save_model(FinishedNetwork(BASE), 'base')"
    clearair export base -o base-onnx
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command_line import keep_to_cores, parser_of
from measuring import in_turns, processor
from PIL import Image
from sample_pictures import noisy_astronaut
from torch.utils.flop_counter import FlopCounterMode

from clearair import ClearAirError, ModelError, Restorer
from clearair.finishing import FinishedNetwork
from clearair.models.stored import read_model
from clearair.network import BASE
from clearair.network.guidance import to_tensors
from clearair.runtime.onnx import OnnxRuntime, graphs_for
from clearair.runtime.precision import cpu_computes_bf16
from clearair.runtime.protocol import Runtime
from clearair.runtime.pytorch import PyTorchRuntime
from clearair.tiling import Window

SIDE = 512
"""Of a window of `compact`, in pixels."""
BASE_SIDE = 256
MATRIX = 1024


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--skip-base", action="store_true")
    parser.add_argument("--base-model", type=Path, help="an exported folder of base's configuration")
    parser.add_argument("--json", type=Path, help="write the figures")
    options = parser.parse_args()
    keep_to_cores(options.threads)
    torch.set_num_threads(options.threads)
    try:
        exported = options.base_model and exported_base(options.base_model)
    except ClearAirError as error:
        parser.error(str(error))
    work = windows(base=not options.skip_base, exported=exported)
    figures = measure(work, options.rounds)
    figures |= {
        "command": command(options.rounds),
        **processor(),
        "threads": options.threads,
    }
    print(table(figures, work))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


class Work:
    """Something to be timed, and the arithmetic in it (0 where it has no share)."""

    def __init__(self, label: str, run: Callable[[], Any], operations: float = 0.0) -> None:
        self.label, self.run, self.operations = label, run, operations


def exported_base(folder: Path) -> OnnxRuntime:
    """The graphs of a model of `base`'s configuration. Raises ModelError for another folder."""
    stored = read_model(folder)
    graphs = graphs_for(stored.folder, stored.network)
    if graphs is None or stored.network != BASE:
        raise ModelError(f"{folder}: is no model of base's configuration that `clearair export` wrote.")
    return OnnxRuntime(stored, graphs)


def windows(*, base: bool, exported: OnnxRuntime | None) -> list[Work]:
    """Everything that is timed in rounds; the first one is the matrix product."""
    first, second = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)

    def products() -> None:
        for _ in range(8):
            first @ second

    work = [Work("matrix product", products, 8 * 2 * MATRIX**3)]
    light = Restorer.from_pretrained(backend="onnx")
    heavy = Restorer.from_pretrained(backend="torch", device="cpu", precision="fp32")
    picture = noisy_astronaut(1024, 1024)
    work += [_window("compact, ONNX Runtime", light, picture, heavy)]
    work += [_window("compact, PyTorch fp32", heavy, picture, heavy)]
    if cpu_computes_bf16():
        half = Restorer.from_pretrained(backend="torch", device="cpu", precision="bf16")
        work += [_window("compact, PyTorch bf16", half, picture, heavy)]
    work += [
        Work("perceivers, ONNX Runtime, 1 megapixel", lambda: light.perceiver.perceive_image(picture)),
        Work("compact, ONNX Runtime, 1 megapixel", lambda: light(picture, damage="noise")),
    ]
    if base:
        work += _base(picture[:BASE_SIDE, :BASE_SIDE], heavy, exported)
    return work


def _window(label: str, restorer: Restorer, picture: np.ndarray, counted: Restorer) -> Work:
    percepts = restorer.perceiver.perceive_image(picture)
    judgement = restorer.runtime.judge(picture, percepts)
    window = Window(0, 0, SIDE, SIDE)
    pixels = picture[window.slices].astype(np.float32) / 255

    def run() -> Any:
        return restorer.runtime.restore(pixels, percepts, judgement, window)

    return Work(label, run, operations_of(counted, picture, window))


def operations_of(restorer: Restorer, picture: np.ndarray, window: Window) -> float:
    """Multiplications and additions of PyTorch's convolutions and matrix products in one window."""
    percepts = restorer.perceiver.perceive_image(picture)
    judgement = restorer.runtime.judge(picture, percepts)
    pixels = picture[window.slices].astype(np.float32) / 255
    with FlopCounterMode(display=False) as counter:
        restorer.runtime.restore(pixels, percepts, judgement, window)
    return float(counter.get_total_flops())


def _base(picture: np.ndarray, heavy: Restorer, exported: OnnxRuntime | None) -> list[Work]:
    """The paper's configuration with random weights, whose speed is that of any others."""
    torch.manual_seed(0)
    network = FinishedNetwork(BASE)
    runtimes: dict[str, Runtime] = {} if exported is None else {"ONNX Runtime": exported}
    runtimes["PyTorch fp32"] = PyTorchRuntime(network, device="cpu", precision="fp32")
    if cpu_computes_bf16():
        runtimes["PyTorch bf16"] = PyTorchRuntime(network, device="cpu", precision="bf16")
    percepts = heavy.perceiver.perceive_image(picture)
    window = Window(0, 0, *picture.shape[:2])
    pixels = picture.astype(np.float32) / 255
    guidance = to_tensors(percepts.guidance)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.from_numpy(pixels).permute(2, 0, 1)[None], guidance)
    operations = float(counter.get_total_flops())
    found = []
    for name, runtime in runtimes.items():
        judgement = runtime.judge(picture, percepts)

        def run(runtime: Runtime = runtime, judgement: Any = judgement) -> Any:
            return runtime.restore(pixels, percepts, judgement, window)

        found.append(Work(f"base, {name}, {BASE_SIDE} x {BASE_SIDE}", run, operations))
    return found


def measure(work: list[Work], rounds: int) -> dict[str, Any]:
    """Medians of seconds, and of shares of the matrix product's rate in the same round."""
    seconds = in_turns({each.label: each.run for each in work}, rounds)
    rates = [work[0].operations / value for value in seconds[work[0].label]]
    shares = {
        each.label: statistics.median(
            each.operations / value / rate for value, rate in zip(seconds[each.label], rates, strict=True)
        )
        for each in work[1:]
        if each.operations
    }
    return {
        "gflops": statistics.median(rates) / 1e9,
        "seconds": {label: statistics.median(values) for label, values in seconds.items()},
        "shares": shares,
    }


def command(rounds: int) -> dict[str, float]:
    """Seconds from the start of the command to its end: on a picture of 256 x 192 pixels, and of --help."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "photo.png"
        Image.fromarray(noisy_astronaut(192, 256)).save(source)
        commands = {
            "restore": ["restore", str(source), "-o", folder + "/out", "--overwrite", "--backend", "onnx"],
            "--help": ["--help"],
        }
        # An installed package has its bytecode; here the first round may have to write it.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        runs = {
            name: partial(
                subprocess.run,
                [sys.executable, "-m", "clearair", *arguments],
                check=True,
                capture_output=True,
                env=environment,
            )
            for name, arguments in commands.items()
        }
        seconds = in_turns(runs, rounds)
    return {name: statistics.median(values) for name, values in seconds.items()}


def table(figures: dict[str, Any], work: list[Work]) -> str:
    instructions = ", ".join(figures["instructions"])
    lines = [
        f"{figures['processor']} ({instructions}), {figures['threads']} threads; matrix product "
        f"{figures['gflops']:.0f} GFLOP/s",
        "",
        "| what | seconds | share of the matrix product's rate |",
        "|---|---|---|",
    ]
    for each in work[1:]:
        share = figures["shares"].get(each.label)
        value = "" if share is None else f"{100 * share:.0f} %"
        lines.append(f"| {each.label} | {figures['seconds'][each.label]:.3f} | {value} |")
    for name, seconds in figures["command"].items():
        lines.append(f"| `clearair {name}`, from start to end | {seconds:.2f} | |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Compare a GPU with the CPU in accuracy and speed, as a Markdown table and JSON.

    python benchmarks/gpu.py --out gpu.md

Parity: a drawn picture, restored on the CPU in float32 and on the device in every supported way: float32, on
NVIDIA's cards with TF32 or without, bfloat16, with the usual memory layout or channels innermost, compiled or
not. Speed: tiles of several sides, one and several at once. The peak is what a large matrix product of the
same precision reaches in the same run; operations are those that PyTorch counts in matrix products and
convolutions.

`base` has random weights, which cost the same. It needs PyTorch, NumPy and safetensors, no network, and less
than five minutes: what does not fit into `--seconds` is left out and named, compiled networks first. Files
are written after each step. `--device cpu --quick` tries the program itself.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from clearair.finishing import FinishedJudgement, FinishedNetwork
from clearair.models import load_model
from clearair.network import BASE
from clearair.network.compiling import compile_parts
from clearair.network.config import GUIDANCE_SIZES
from clearair.network.guidance import to_tensors
from clearair.network.overview import survey
from clearair.perception import load_compact
from clearair.percepts import Guidance

TYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}
LIMITS = {"fp32": 1e-3, "tf32": 1e-2, "bf16": 3e-2}
"""Largest difference from the CPU that is taken for rounding; TF32 has 11 bits, bfloat16 8."""


@dataclass(frozen=True)
class Way:
    """One way of asking a device for the same."""

    precision: str
    channels_last: bool
    compiled: bool

    def __str__(self) -> str:
        layout = "channels last" if self.channels_last else "channels first"
        return f"{self.precision}, {layout}{', compiled' if self.compiled else ''}"


PLAIN = Way("fp32", channels_last=False, compiled=False)


@dataclass(frozen=True)
class Parity:
    """How far a device's answer lies from that of the CPU in float32."""

    model: str
    way: str
    largest: float
    mean: float
    holds: bool


@dataclass(frozen=True)
class Speed:
    """How fast a device restores tiles."""

    model: str
    way: str
    side: int
    batch: int
    milliseconds: float
    tiles_a_second: float
    megapixels_a_second: float
    tflops: float
    share_of_peak: float
    gigabytes: float | None


class Judged:
    """A network, a picture and the judgement of it, on the CPU."""

    def __init__(self, name: str) -> None:
        torch.manual_seed(0)
        network = load_model("compact").build() if name == "compact" else FinishedNetwork(BASE)
        self.name = name
        self.network = network.eval().requires_grad_(False)
        self.pixels = drawn_picture(224, 288)
        self.guidance = guidance_of(self.network, self.pixels)

    def judgement_on(self, device: str, network: FinishedNetwork) -> FinishedJudgement:
        """The judgement of the picture by a network on a device."""
        guidance, image = self.guidance.to(device), to_image(self.pixels).to(device)
        return network.judge(guidance, survey(image, guidance.labels, network.config))

    @cache  # noqa: B019  there are two of them
    def expected(self) -> Tensor:
        """The whole picture, restored on the CPU in float32."""
        return restored(self, self.network, "cpu", PLAIN, None, 1)().clone()

    @cache  # noqa: B019
    def operations(self, side: int) -> float:
        """Of one tile in matrix products and convolutions; those of a small one, scaled by area."""
        small = min(side, 128)
        with FlopCounterMode(display=False) as counter:
            restored(self, self.network, "cpu", PLAIN, small, 1)()
        return counter.get_total_flops() * (side / small) ** 2

    def on(self, device: str, way: Way) -> FinishedNetwork:
        """A copy of the network on a device."""
        network = FinishedNetwork(self.network.config)
        network.load_state_dict(self.network.state_dict())
        network = network.eval().requires_grad_(False).to(device)
        if way.channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if way.compiled:
            compile_parts(network, any_size=True)
        return network


def drawn_picture(height: int, width: int) -> np.ndarray[Any, Any]:
    """(H, W, 3) uint8: stripes, discs and noise, always the same."""
    generator = np.random.default_rng(0)
    down, across = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    waves = [0.5 + 0.3 * np.sin(9 * down + 31 * across * (1 + channel)) for channel in range(3)]
    disc = (down - 0.5) ** 2 + (across - 0.4) ** 2 < 0.06
    picture = np.where(disc[..., None], (0.8, 0.3, 0.2), np.stack(waves, axis=2))
    noisy = picture + generator.normal(0, 0.08, picture.shape)
    return (noisy.clip(0, 1) * 255).round().astype(np.uint8)


def to_image(pixels: np.ndarray[Any, Any]) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def guidance_of(network: FinishedNetwork, pixels: np.ndarray[Any, Any]) -> Guidance:
    """Percepts of the shipped perceivers with named damage; random numbers for a network of other sizes."""
    config, perceiver = network.config, load_compact()
    percepts = perceiver.told(perceiver.perceive_image(pixels), ["noise", "haze"])
    guidance = to_tensors(percepts.guidance)
    if all(getattr(config, name) == getattr(perceiver.identity, name) for name in GUIDANCE_SIZES):
        return guidance
    return Guidance(
        torch.randn(1, config.quality_dim),
        guidance.labels.long().remainder(config.region_count).to(torch.uint8),
        torch.randn(1, config.content_dim),
        torch.randn(1, config.degradation_dim),
        torch.randn(1, config.region_count, config.degradation_dim),
        *(torch.ones(1) for _ in range(3)),
    )


def restored(
    judged: Judged, network: FinishedNetwork, device: str, way: Way, side: int | None, batch: int
) -> Callable[[], Tensor]:
    """A function that restores `batch` equal windows of `side` pixels; None is the whole picture."""
    image = to_image(judged.pixels)
    labels = judged.guidance.labels
    if side is not None:
        repeats = [-(-side // length) for length in image.shape[2:]]
        image = image.repeat(1, 1, *repeats)[..., :side, :side]
        labels = labels.repeat(1, *repeats)[..., :side, :side]
    image = image.repeat(batch, 1, 1, 1).to(device)
    if way.channels_last:
        image = image.contiguous(memory_format=torch.channels_last)
    labels = labels.repeat(batch, 1, 1).to(device)
    with torch.inference_mode():
        judgement = judged.judgement_on(device, network).repeated(batch)

    def run() -> Tensor:
        with computing(way.precision, device):
            return network.restore(image, labels, judgement, (0, 0))

    return run


@contextmanager
def computing(precision: str, device: str) -> Iterator[None]:
    """For a `with` block; float32 is multiplied as TF32 only where that is asked for."""
    tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    kind = torch.device(device).type
    half = torch.autocast(kind, torch.bfloat16) if precision == "bf16" else nullcontext()
    with torch.inference_mode(), half:
        yield


def wait(device: str) -> None:
    """Until all that was asked of a device is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


def seconds_of(run: Callable[[], Tensor], device: str, budget: float) -> float:
    """Median seconds of one call, after two that do not count; fewer calls where they are slow."""
    for _ in range(2):
        run()
    wait(device)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 3 or (len(times) < 20 and time.perf_counter() - began < budget):
        start = time.perf_counter()
        run()
        wait(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak(device: str, precision: str, side: int) -> float:
    """Operations a second of a product of two random square matrices."""
    first, second = (torch.randn(side, side, device=device, dtype=TYPES[precision]) for _ in range(2))
    with computing("tf32" if precision == "tf32" else "fp32", device):
        return 2 * side**3 / seconds_of(lambda: first @ second, device, 0.5)


def ways(device: str, quick: bool, compiler: bool) -> list[Way]:
    """All ways that are worth asking, what takes longest last."""
    precisions = ["bf16", "fp32"]
    if device.startswith("cuda"):
        precisions.append("tf32")
    if device == "mps":
        precisions.remove("bf16")
    plain = [Way(each, channels_last=True, compiled=False) for each in precisions]
    if not quick:
        plain += [Way(each, channels_last=False, compiled=False) for each in precisions]
    compiled = [Way(each, channels_last=True, compiled=True) for each in precisions if each != "tf32"]
    return plain + (compiled if compiler else [])


def parity(judged: Judged, network: FinishedNetwork, device: str, way: Way) -> Parity:
    """A whole picture, restored in one way on the device, against the CPU."""
    apart = (restored(judged, network, device, way, None, 1)().float().cpu() - judged.expected()).abs()
    largest = float(apart.max())
    return Parity(judged.name, str(way), largest, float(apart.mean()), largest <= LIMITS[way.precision])


def speed(
    judged: Judged, network: FinishedNetwork, device: str, way: Way, shape: tuple[int, int], top: float
) -> Speed:
    """Tiles of one side, so many at once; `top` is the peak in operations a second."""
    side, batch = shape
    on_card = device.startswith("cuda")
    if on_card:
        torch.cuda.reset_peak_memory_stats()
    seconds = seconds_of(restored(judged, network, device, way, side, batch), device, 1.0)
    rate = batch * judged.operations(side) / seconds
    return Speed(
        model=judged.name,
        way=str(way),
        side=side,
        batch=batch,
        milliseconds=1e3 * seconds,
        tiles_a_second=batch / seconds,
        megapixels_a_second=batch * side**2 / seconds / 1e6,
        tflops=rate / 1e12,
        share_of_peak=rate / top,
        gigabytes=torch.cuda.max_memory_allocated() / 1e9 if on_card else None,
    )


@dataclass
class Report:
    """What was measured so far, written whenever something is added."""

    machine: str
    peaks: dict[str, float]
    file: Path
    began: float
    parity: list[Parity] = field(default_factory=list)
    speed: list[Speed] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def write(self) -> None:
        """Put both files in place."""
        self.file.write_text(as_table(self))
        stored = {
            "machine": self.machine,
            "peaks": self.peaks,
            "parity": [asdict(each) for each in self.parity],
            "speed": [asdict(each) for each in self.speed],
            "missing": self.missing,
            "seconds": time.perf_counter() - self.began,
        }
        self.file.with_suffix(".json").write_text(json.dumps(stored, indent=1) + "\n")

    def miss(self, what: str) -> None:
        """Note what was not measured, and why."""
        print(what, flush=True)
        self.missing.append(what)


def measure(
    report: Report, judged: Judged, device: str, way: Way, shapes: list[tuple[int, int]], until: float
) -> None:
    """One network in one way: parity first, then its speeds. Failures are noted, and the rest continues."""
    name = f"{judged.name}, {way}"
    try:
        network = judged.on(device, way)
        report.parity.append(parity(judged, network, device, way))
        print(f"{name}: {report.parity[-1].largest:.1e} from the CPU", flush=True)
        for side, batch in shapes if way.channels_last else []:
            if time.perf_counter() > until:
                report.miss(f"{name}, {batch} of {side} px: no time left")
                continue
            report.speed.append(
                speed(judged, network, device, way, (side, batch), report.peaks[way.precision])
            )
            print(f"{name}, {batch} of {side} px: {report.speed[-1].milliseconds:.1f} ms", flush=True)
    except Exception as error:  # a compiler's errors have no common class, and one must not hide the others
        report.miss(f"{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    report.write()


def machine(device: str) -> str:
    """What was measured on."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else platform.processor()
    return f"{name or platform.machine()}, PyTorch {torch.__version__}, Python {platform.python_version()}"


def as_table(report: Report) -> str:
    """Two tables: parity and speed."""
    reached = ", ".join(f"{name} {value / 1e12:.2f}" for name, value in report.peaks.items())
    lines = [f"{report.machine}. Matrix products reach, in TFLOP/s: {reached}.", ""]
    lines += ["| model | way | max difference | mean | holds |", "|---|---|---|---|---|"]
    for each in report.parity:
        verdict = "yes" if each.holds else "**no**"
        lines.append(f"| {each.model} | {each.way} | {each.largest:.1e} | {each.mean:.1e} | {verdict} |")
    head = ["model", "way", "tile", "at once", "ms", "tiles/s", "Mpixel/s", "TFLOP/s", "of peak", "GB"]
    lines += ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in report.speed:
        used = "-" if row.gigabytes is None else f"{row.gigabytes:.1f}"
        values = [row.model, row.way, f"{row.side} px", str(row.batch), f"{row.milliseconds:.1f}"]
        values += [f"{row.tiles_a_second:.1f}", f"{row.megapixels_a_second:.2f}", f"{row.tflops:.3f}"]
        values += [f"{100 * row.share_of_peak:.0f} %", used]
        lines.append(f"| {' | '.join(values)} |")
    lines += ["", *(f"- not measured: {each}" for each in report.missing)]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Measure, print the tables, and return 1 where parity does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, mps or cpu")
    parser.add_argument(
        "--out", type=Path, default=Path("gpu.md"), help="tables; the same as .json beside it"
    )
    parser.add_argument(
        "--seconds", type=float, default=240.0, help="time after which nothing new is started"
    )
    parser.add_argument("--no-compile", action="store_true", help="leave out compiled networks")
    parser.add_argument("--quick", action="store_true", help="small tiles, compact alone, nothing compiled")
    options = parser.parse_args()
    device, began = options.device, time.perf_counter()
    if device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("PyTorch finds no CUDA device here; --device cpu --quick tries the program")
    until = began + options.seconds
    quick = options.quick
    shapes = [(64, 1), (64, 2)] if quick else [(256, 8), (512, 1), (512, 8), (1024, 1), (1024, 4)]
    asked = ways(device, quick, compiler=not (options.no_compile or quick or device == "mps"))
    peaks = {
        name: peak(device, name, 512 if quick else 8192) for name in dict.fromkeys(w.precision for w in asked)
    }
    report = Report(machine(device), peaks, options.out, began)
    judged = [Judged(name) for name in (["compact"] if quick else ["compact", "base"])]
    for way in asked:
        for model in judged:
            if time.perf_counter() > until:
                report.miss(f"{model.name}, {way}: no time left")
                continue
            measure(report, model, device, way, shapes, until)
    report.write()
    print(options.out.read_text())
    return 0 if report.parity and all(each.holds for each in report.parity) else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""PSNR of a network on the validation sets, by kind of damage, for training logs and comparisons.

Shapes: B views, V = side of a view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from clearair.data.pixels import quantized
from clearair.data.validation import VALIDATION_KINDS, ValidationSet, validation_sets
from clearair.errors import DataError, UsageError
from clearair.evaluation.benchmarks import BENCHMARKS
from clearair.network import Guidance
from clearair.runtime.precision import learning_in
from clearair.similarity import psnr_each

Network = Callable[[Tensor, Guidance], Tensor] | nn.Module
"""(B, 3, H, W) and its guidance -> (B, 3, H, W)."""


class Guide(Protocol):
    """Makes the guidance for a batch of images."""

    def perceive(self, images: Tensor) -> Guidance:
        """(B, 3, H, W) in [0, 1] -> the guidance of the network."""


@dataclass(frozen=True)
class Score:
    """Mean PSNR in dB of a set, before and after."""

    input_psnr: float
    psnr: float

    @property
    def gain(self) -> float:
        """What restoring adds, in dB."""
        return self.psnr - self.input_psnr


def mean_score(scores: Mapping[str, Score]) -> Score:
    """Mean over the kinds of damage, each counting the same.

    Undamaged pictures are left out: a perfect one counts 100 dB and would drown all others.
    """
    damaged = [score for kind, score in scores.items() if kind != "clean"] or list(scores.values())
    return Score(
        sum(score.input_psnr for score in damaged) / len(damaged),
        sum(score.psnr for score in damaged) / len(damaged),
    )


def named_sets(
    data: Path, names: Sequence[str] | None = None, *, every: int = 1, side: int = 256
) -> list[ValidationSet]:
    """Views of validation sets and benchmarks by name; all validation sets by default.

    Of a benchmark the middle `side` x `side` pixels of every image. `every` takes each n-th view only.
    Raises UsageError for an unknown name, DataError for missing or smaller images.
    """
    if names is None:  # of what may be absent, such as real noise, what is there
        return [_every(views, every) for views in validation_sets(data, side=side)]
    sets = []
    for name in names:
        if name in BENCHMARKS:
            sets.append(_benchmark_set(data, name, every, side))
        elif name in VALIDATION_KINDS:
            sets += [_every(views, every) for views in validation_sets(data, side=side, kinds=[name])]
        else:
            known = ", ".join((*VALIDATION_KINDS, *BENCHMARKS))
            raise UsageError(f"There is no set {name!r}; known are {known}.")
    return sets


def _every(views: ValidationSet, every: int) -> ValidationSet:
    """Each n-th view of a set."""
    damaged, clean, names = views.damaged[::every], views.clean[::every], views.names[::every]
    return replace(views, damaged=damaged, clean=clean, names=names)


def batches(network: Network, views: ValidationSet, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(damaged, clean) of up to `batch` views at a time, on the device of the network."""
    device = _device(network)
    for start in range(0, len(views.damaged), batch):
        stop = start + batch
        yield views.damaged[start:stop].to(device), views.clean[start:stop].to(device)


@torch.no_grad()
def look(perceiver: Guide, images: Tensor) -> Guidance:
    """What the perceiver says, at full precision as when a picture is restored."""
    return perceiver.perceive(images)


@torch.no_grad()
def restore(network: Network, images: Tensor, guidance: Guidance) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> the same, restored, in the precision of training, and rounded to 8 bits."""
    with learning_in(images.device):
        restored = network(images.contiguous(memory_format=torch.channels_last), guidance)
    return quantized(restored.float().clamp(0, 1))


def psnr_of_views(images: Tensor, references: Tensor) -> Tensor:
    """(B, 3, H, W) twice, in [0, 1] -> (B,) PSNR in dB, float64 on the CPU; at most `IDENTICAL`."""
    return psnr_each(images.double(), references.double()).cpu()


def _benchmark_set(data: Path, name: str, every: int, side: int) -> ValidationSet:
    damaged: list[Tensor] = []
    clean: list[Tensor] = []
    names: list[str] = []
    for case in BENCHMARKS[name].cases(data, every=every):
        if case.clean is None:
            raise DataError(f"{name}: has no clean pictures to validate with.")
        height, width = case.clean.shape[:2]
        if min(height, width) < side:
            raise DataError(f"{name}, {case.name}: {width} x {height} px; {side} px a side are needed here.")
        top, left = (height - side) // 2, (width - side) // 2
        for views, image in ((damaged, case.damaged), (clean, case.clean)):
            window = image[top : top + side, left : left + side].transpose(2, 0, 1).copy()
            views.append(torch.from_numpy(window).float() / 255)
        names.append(case.name)
    return ValidationSet(name, torch.stack(damaged), torch.stack(clean), tuple(names))


def _device(network: Network) -> torch.device:
    parameter = next(network.parameters(), None) if isinstance(network, nn.Module) else None
    return torch.device("cpu") if parameter is None else parameter.device

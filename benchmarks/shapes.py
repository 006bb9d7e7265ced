"""Compare shapes of the network by what they cost: parameters, operations, training steps, inference.

    python benchmarks/shapes.py --threads 2

Prints a Markdown table. The candidates take about the same operations at 256x256 with different blocks;
rounds go through all of them in turn and medians are taken, so that a slow moment of the machine hits all
alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

import torch
from command_line import parser_of
from measuring import in_turns
from torch.utils.flop_counter import FlopCounterMode

from clearair.finishing import FinishedNetwork
from clearair.network import COMPACT, ClearAIR, Guidance, NetworkConfig, count_parameters
from clearair.runtime.precision import learning_in

CANDIDATES: dict[str, NetworkConfig] = {
    "conv": replace(COMPACT, channels=(64, 112, 192), block=("conv",) * 3),
    "gated": replace(COMPACT, block=("gated",) * 3, blocks=(3, 4, 5), decoder_blocks=(3, 3)),
    "restormer": replace(
        COMPACT, channels=(48, 96, 192), block=("restormer",) * 3, blocks=(2, 3, 5), expansion=2.66
    ),
    "hybrid (compact)": COMPACT,
}
"""By the name in the table."""

BATCH, VIEW, SIDE = 8, 128, 512
"""Images and side of a training batch; side of an image to restore."""


@dataclass(frozen=True)
class Candidate:
    """A network and what it is timed on."""

    name: str
    network: ClearAIR
    views: tuple[torch.Tensor, Guidance]
    picture: tuple[torch.Tensor, Guidance]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="times each candidate is measured")
    parser.add_argument("--only", choices=list(CANDIDATES), action="append", help="may be given again")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    candidates = [make_candidate(name) for name in options.only or CANDIDATES]
    runs: dict[str, Callable[[], None]] = {}
    for candidate in candidates:
        runs[f"{candidate.name}, a step"] = partial(train_step, candidate)
        runs[f"{candidate.name}, restoring"] = partial(restore, candidate)
    taken = in_turns(runs, options.rounds)
    print(
        f"bf16, channels last, {options.threads} threads; a step is forward and backward of "
        f"{BATCH} x {VIEW} x {VIEW}.\n"
    )
    print(f"| network | parameters, M | GMACs at 256x256 | s a step | s for {SIDE}x{SIDE} |")
    print("| --- | --- | --- | --- | --- |")
    for candidate in candidates:
        print(
            f"| {candidate.name} | {count_parameters(candidate.network) / 1e6:.2f} | "
            f"{multiply_accumulates(candidate.network) / 1e9:.2f} | "
            f"{median(taken[f'{candidate.name}, a step']):.2f} | "
            f"{median(taken[f'{candidate.name}, restoring']):.2f} |"
        )


def make_candidate(name: str) -> Candidate:
    config = CANDIDATES[name]
    network = FinishedNetwork(config).to(memory_format=torch.channels_last)
    return Candidate(name, network, random_input(config, BATCH, VIEW), random_input(config, 1, SIDE))


def random_input(config: NetworkConfig, batch: int, side: int) -> tuple[torch.Tensor, Guidance]:
    """(batch, 3, side, side) in [0, 1], and guidance for it."""
    image = torch.rand(batch, 3, side, side).to(memory_format=torch.channels_last)
    guidance = Guidance(
        quality=torch.randn(batch, config.quality_dim),
        labels=torch.randint(config.region_count, (batch, side, side)),
        content=torch.randn(batch, config.content_dim),
        degradation=torch.randn(batch, config.degradation_dim),
        local_degradation=torch.randn(batch, config.region_count, config.degradation_dim),
        tone=torch.ones(batch),
        change=torch.ones(batch),
        coarse=torch.ones(batch),
    )
    return image, guidance


def train_step(candidate: Candidate) -> None:
    image, guidance = candidate.views
    candidate.network.zero_grad(set_to_none=True)
    with learning_in(torch.device("cpu")):
        restored = candidate.network(image, guidance)
    (restored.float() - image).abs().mean().backward()


@torch.no_grad()
def restore(candidate: Candidate) -> None:
    with learning_in(torch.device("cpu")):
        candidate.network(*candidate.picture)


@torch.no_grad()
def multiply_accumulates(network: ClearAIR) -> float:
    """Of one 256x256 image, convolutions and matrix products; perceivers not counted."""
    with FlopCounterMode(display=False) as counter:
        network(*random_input(network.config, 1, 256))
    return float(counter.get_total_flops()) / 2


if __name__ == "__main__":
    main()

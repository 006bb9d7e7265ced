"""One of two processes that train together: python sharing.py FOLDER DATA, started as torchrun does."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from shade import Shade

from clearair.training.loop.loop import run
from clearair.training.loop.processes import ALONE, Processes, joined
from clearair.training.restorer.recipe import Recipe
from clearair.training.restorer.recipes import smoke
from clearair.training.restorer.task import RestorerTask

SHARES = (0, 2)


def recipe(shares: int, accumulate: int = 1) -> Recipe:
    short = replace(smoke(), steps=3, decay_steps=1, warmup=1, batch=4, view=64, patch=32)
    return replace(short, shares=shares, accumulate=accumulate)


def train(out: Path, data: Path, plan: Recipe, processes: Processes = ALONE) -> None:
    task = RestorerTask(plan, data, perceiver=Shade(), processes=processes)
    run(task, out, interval=1, report=lambda line: None)


def main() -> None:
    folder, data = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    with joined("cpu") as (processes, _):
        # What only one of them writes must be the leader's.
        own = folder if processes.leads else folder / "not the leader"
        for shares in SHARES:
            train(own / f"two-{shares}", data, recipe(shares), processes)
        assert processes.alike(1.0)
        assert not processes.alike(float(processes.rank))
        assert processes.gathered(processes.rank) == [0, 1]
        values = [torch.tensor([float(processes.rank)]), torch.ones(2, 2)]
        processes.average(values)
        assert values[0].item() == 0.5
        assert torch.equal(values[1], torch.ones(2, 2))


if __name__ == "__main__":
    main()

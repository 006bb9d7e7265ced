"""Kills runs at random moments and resumes them: python killing.py KIND FOLDER DATA MOMENTS SEED.

A program of its own, which imports everything once and forks a child for each run. Prints what became of it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch._dynamo  # optimisers would import it in every child, which takes longer than their runs
from matrix import MatrixTask, Plan

from clearair.training.loop.checkpoint import load_checkpoint
from clearair.training.loop.loop import run
from clearair.training.loop.resume import LATEST
from clearair.training.restorer.recipes import smoke
from clearair.training.restorer.task import RestorerTask


def train(kind: str, out: Path, data: Path) -> int:
    """Begin or resume a run in a child that saves after every step; returns its process."""
    child = os.fork()
    if child:
        return child
    try:
        if kind == "matrix":
            task = MatrixTask(Plan(matrix={"side": 400}))
        else:
            recipe = replace(smoke(), steps=6, decay_steps=2, warmup=2, batch=2, view=64, patch=32)
            task = RestorerTask(recipe, data)
        run(task, out, resume=True, save_seconds=0, interval=1, report=lambda line: None)
    finally:
        os._exit(0)


def kill(child: int, moment: float, writing: Path | None) -> None:
    """Kill a child after so many seconds, or from then on as soon as a file is being written."""
    ended = time.monotonic() + moment
    while time.monotonic() < ended or (writing is not None and not writing.exists()):
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return
        time.sleep(0.0002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main() -> None:
    kind, folder, data, moments, seed = sys.argv[1], *map(Path, sys.argv[2:4]), *map(int, sys.argv[4:])
    torch.set_num_threads(1)
    source = random.Random(seed)
    began = time.monotonic()
    os.waitpid(train(kind, folder / "whole", data), 0)
    length = time.monotonic() - began
    whole = load_checkpoint(folder / "whole" / LATEST)
    found = []
    for number in range(moments):
        out = folder / str(number)
        partial = out / "latest.partial"
        # Every other one in the middle of writing a checkpoint.
        kill(train(kind, out, data), source.uniform(0, length), partial if number % 2 else None)
        record = {"partial": partial.exists()}
        latest = out / LATEST
        record["step"] = load_checkpoint(latest).step if latest.exists() else 0
        os.waitpid(train(kind, out, data), 0)
        parts = load_checkpoint(latest)
        record["files"] = sorted(path.name for path in out.iterdir())
        record["same"] = parts.step == whole.step and parts.tensors.keys() == whole.tensors.keys()
        record["same"] &= all(torch.equal(parts.tensors[name], whole.tensors[name]) for name in whole.tensors)
        found.append(record)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

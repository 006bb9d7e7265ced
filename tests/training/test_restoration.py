import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from clearair.data.pairs import generator_for
from clearair.errors import DataError, TrainingError
from clearair.network import ClearAIR
from clearair.perception.compact.config import EyesConfig
from clearair.perception.compact.eyes import CompactEyes
from clearair.perception.compact.perceiver import CompactPerceiver
from clearair.training.checkpoint import load_checkpoint
from clearair.training.loop import run, update
from clearair.training.recipe import Recipe, smoke
from clearair.training.restoration import RestorerTask
from clearair.training.resume import LATEST, STABLE


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return replace(smoke(), steps=6, decay_steps=2, warmup=2, batch=2, view=64, patch=32)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(out / LATEST).tensors


def train(recipe: Recipe, data: Path, out: Path, **options) -> ClearAIR:
    return run(RestorerTask(recipe, data), out, report=lambda line: None, **options)


def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(recipe, data, tmp_path):
    train(recipe, data, tmp_path / "whole")
    for _ in range(10):
        train(recipe, data, tmp_path / "parts", resume=True, max_minutes=0)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_another_seed_gives_other_weights(recipe, data, tmp_path):
    short = replace(recipe, steps=2)
    train(short, data, tmp_path / "a")
    train(replace(short, seed=1), data, tmp_path / "b")
    name = "network.extraction.weight"
    assert not torch.equal(weights(tmp_path / "a")[name], weights(tmp_path / "b")[name])


def test_a_longer_run_goes_on_from_before_the_annealing(recipe, data, tmp_path):
    train(recipe, data, tmp_path)
    stable = load_checkpoint(tmp_path / STABLE)
    assert stable.step == 4
    train(replace(recipe, steps=9), data, tmp_path, resume=True)
    train(replace(recipe, steps=9), data, tmp_path / "direct")
    assert load_checkpoint(tmp_path / LATEST).step == 9
    resumed, direct = weights(tmp_path), weights(tmp_path / "direct")
    assert all(torch.equal(resumed[name], direct[name]) for name in direct)


def test_the_loss_falls(recipe, data, tmp_path):
    longer = replace(recipe, steps=40, decay_steps=10, batch=4, learning_rate=3e-3)
    train(longer, data, tmp_path, interval=10)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]


def test_a_folder_with_a_run_is_not_overwritten(recipe, data, tmp_path):
    short = replace(recipe, steps=1)
    train(short, data, tmp_path)
    with pytest.raises(TrainingError, match="--resume"):
        train(short, data, tmp_path)


def test_a_run_of_another_network_cannot_be_resumed(recipe, data, tmp_path):
    short = replace(recipe, steps=1)
    train(short, data, tmp_path)
    other = replace(short, network=replace(short.network, prompts=5))
    with pytest.raises(TrainingError, match="prompts"):
        train(other, data, tmp_path, resume=True)


def test_a_run_goes_on_only_with_the_perceiver_it_began_with(recipe, data, tmp_path):
    train(recipe, data, tmp_path, max_minutes=0)
    other = RestorerTask(recipe, data, perceiver=CompactPerceiver(CompactEyes(EyesConfig())))
    with pytest.raises(TrainingError, match=r"perceiver compact \w{12} -> compact \w{12}"):
        run(other, tmp_path, resume=True)


def test_missing_photographs_are_named(recipe, tmp_path):
    with pytest.raises(DataError, match="clean"):
        train(recipe, tmp_path / "nothing", tmp_path / "out")


def test_a_broken_checkpoint_is_named(recipe, data, tmp_path):
    (tmp_path / LATEST).write_bytes(b"\x10\x00\x00\x00nonsense")
    with pytest.raises(TrainingError, match=LATEST):
        train(recipe, data, tmp_path, resume=True)


class Waiting(TorchDispatchMode):
    """Counts how often values are asked for, except of tensors known to lie on the processor."""

    def __init__(self, allowed: set[int]) -> None:
        super().__init__()
        self.allowed, self.times = allowed, 0

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        # The second is what a boolean index becomes.
        if operation.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
            self.times += arguments[0].data_ptr() not in self.allowed
        return operation(*arguments, **(keywords or {}))


def test_an_update_never_waits_for_a_value(recipe, data):
    task = RestorerTask(recipe, data)
    task.load()
    optimizers = task.optimizers()
    lesson = task.draw(0, generator_for(0, 0))
    update(task, lesson, optimizers, generator_for(0, 0))
    # AdamW keeps its count of steps on the processor, so reading it is no waiting.
    counts = {state["step"].data_ptr() for state in optimizers[1].state.values()}
    with Waiting(counts) as waiting:
        update(task, lesson, optimizers, generator_for(0, 1))
    assert waiting.times == 0
    with Waiting(counts) as waiting:
        float(update(task, lesson, optimizers, generator_for(0, 2))["loss"].detach())
    assert waiting.times == 1

"""Between two lines of the log a training step asks no device for a value, so that none is waited for."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.waits import Waits

from clearair.data.pairs import generator_for
from clearair.network import COMPACT
from clearair.network.overview import survey
from clearair.network.regions import drop_regions
from clearair.perception import load_compact
from clearair.training.loop.loop import run
from clearair.training.loop.update import update
from clearair.training.restorer.recipes import smoke
from clearair.training.restorer.task import RestorerTask


def waits_of_a_run(data: Path, out: Path, steps: int) -> Counter[str]:
    """Those of its own thread, in which it learns; batches are drawn in another one."""
    recipe = replace(smoke(), steps=steps, decay_steps=1, warmup=1, batch=2, view=64, patch=32)
    task = RestorerTask(recipe, data)
    with Waits() as waits:
        run(task, out, report=lambda line: None, interval=steps)
    return waits.count


def test_only_lines_of_the_log_and_checkpoints_wait(data, tmp_path):
    few = waits_of_a_run(data, tmp_path / "few", 2)
    many = waits_of_a_run(data, tmp_path / "many", 5)
    assert few == many
    assert few  # the log does


def test_views_are_perceived_and_surveyed_without_waiting():
    perceiver, images = load_compact(), torch.rand(2, 3, 96, 96)
    with Waits() as waits:
        guidance = perceiver.perceive(images)
        labels = drop_regions(guidance.labels, guidance.regions, 0.1, torch.Generator().manual_seed(0))
        survey(images, labels, COMPACT)
    assert not waits.count


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card here")
def test_a_card_is_not_waited_for(data):
    recipe = replace(smoke(), batch=4, view=96, patch=64)
    task = RestorerTask(recipe, data, device="cuda")
    task.load()
    optimizers = task.optimizers()
    update(task, task.draw(0, generator_for(0, 0)), optimizers, generator_for(0, 0))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        update(task, task.draw(1, generator_for(0, 1)), optimizers, generator_for(0, 1))
    finally:
        torch.cuda.set_sync_debug_mode("default")

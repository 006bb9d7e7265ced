"""The paper's three perceivers together, from tiny files in their published layouts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra sam2")
pytest.importorskip("sentencepiece", reason="needs the extra deqa")

from clearair.data.pairs import generator_for
from clearair.errors import ModelError
from clearair.models import save_model
from clearair.network import TINY as TINY_NETWORK
from clearair.perception.choice import Choice
from clearair.restorer import Restorer
from clearair.training.restorer.recipe import Recipe
from clearair.training.restorer.task import RestorerTask
from tests.perception.daclip.conftest import saved
from tests.perception.daclip.reference import random_state
from tests.perception.deqa.checkpoint import TINY as TINY_DEQA
from tests.perception.deqa.checkpoint import official_weights, write_shards
from tests.perception.paper import write_paper_files
from tests.perception.sam2.conftest import tiny_sam2
from tests.training.conftest import write_data


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("paper")
    write_paper_files(root)
    return root


def choice(files: Path) -> Choice:
    return Choice(f"deqa={files / 'deqa'}", f"sam2={files / 'sam2'}", f"daclip={files / 'daclip.pt'}")


def test_they_perceive_a_photograph(files, astronaut):
    perceiver = choice(files).load()
    percepts, identity = perceiver.perceive_image(astronaut), perceiver.identity
    assert identity.name == "deqa + sam2 + daclip"
    assert percepts.guidance.quality.shape == (
        1,
        identity.quality_dim,
    )
    assert percepts.labels.shape == astronaut.shape[:2]
    assert percepts.guidance.local_degradation.shape == (1, 17, identity.degradation_dim)
    assert percepts.local_probabilities.shape == (17, 10)
    assert percepts.to_dict()["change"] == 1


@pytest.mark.parametrize("size", [(1, 1), (4, 160), (50, 30)])
def test_they_perceive_black_images_of_any_shape(files, size):
    percepts = choice(files).load().perceive_image(np.zeros((*size, 3), np.uint8))
    assert np.isfinite(percepts.guidance.quality).all()
    assert percepts.labels.shape == size


def test_a_network_is_trained_with_them_and_restores_with_them_only(files, tmp_path, astronaut):
    write_data(tmp_path / "data")
    recipe = Recipe("tiny", TINY_NETWORK, steps=2, batch=2, view=64, patch=32)
    task = RestorerTask(recipe, tmp_path / "data", perceiver=choice(files).load())
    task.load()
    lesson = task.draw(0, generator_for(0, 0))
    assert task.network.config.region_count == 17
    assert torch.isfinite(task.compare(lesson, generator_for(0, 0)).minimised["l1"])
    save_model(task.network, tmp_path / "model", perceivers=task.perceiver)
    again = choice(files).load()
    restorer = Restorer.from_pretrained(tmp_path / "model", perceiver=again, device="cpu")
    assert restorer(astronaut[:40, :56]).image.shape == (40, 56, 3)
    with pytest.raises(ModelError, match="name those with --quality"):
        Restorer.from_pretrained(tmp_path / "model", device="cpu")


@pytest.mark.parametrize("which", ["deqa", "sam2", "daclip.pt"])
def test_another_weight_file_is_another_identity(which, files, tmp_path):
    shutil.copytree(files, tmp_path / "files")
    before = choice(tmp_path / "files").load().identity
    assert before == choice(files).load().identity
    path = tmp_path / "files" / which
    if which == "deqa":
        write_shards(path, official_weights(TINY_DEQA, seed=1))
    elif which == "sam2":
        tiny_sam2(seed=1).save_pretrained(path)
    else:
        saved(path, random_state(seed=1))
    assert choice(tmp_path / "files").load().identity.fingerprint != before.fingerprint

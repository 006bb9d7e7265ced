"""A tiny DA-CLIP in the layout of the published file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clearair.perception import load_degradation
from clearair.perception.daclip import DaClipDegradation
from tests.perception.daclip.reference import State, random_state


def saved(path: Path, state: State, **others: object) -> Path:
    """As open_clip's training writes it."""
    torch.save({"epoch": 50, "name": "daclip", "state_dict": state, **others}, path)
    return path


@pytest.fixture(scope="session")
def state() -> State:
    return random_state()


@pytest.fixture(scope="session")
def wordless() -> State:
    """Without the text tower: a small file."""
    return random_state(text=False)


@pytest.fixture(scope="session")
def checkpoint(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("daclip") / "daclip_ViT-B-32.pt", state)


@pytest.fixture(scope="session")
def perceiver(checkpoint: Path) -> DaClipDegradation:
    return load_degradation("daclip", weights=checkpoint)


@pytest.fixture(scope="session")
def blind(wordless: State, tmp_path_factory: pytest.TempPathFactory) -> DaClipDegradation:
    return load_degradation("daclip", weights=saved(tmp_path_factory.mktemp("daclip") / "tiny.pt", wordless))


@pytest.fixture
def noise() -> np.ndarray:
    """A picture with structure of every size, 300 x 260."""
    random = np.random.default_rng(0)
    coarse = random.normal(size=(10, 9, 3)).repeat(30, axis=0).repeat(30, axis=1)[:300, :260]
    values = 128 + 50 * coarse + 25 * random.normal(size=(300, 260, 3))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)

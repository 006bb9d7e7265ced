"""A tiny DeQA-Score in its published form, and photographs of several shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import skimage.data
from tests.perception.deqa.checkpoint import (
    TINY,
    official_weights,
    tiny_tokenizer,
    write_config,
    write_shards,
)
from torch import Tensor

from clearair.perception.deqa.perceiver import DeqaQuality, load_deqa


@pytest.fixture(scope="session")
def weights() -> dict[str, Tensor]:
    return official_weights(TINY)


@pytest.fixture(scope="session")
def tokenizer() -> bytes:
    return tiny_tokenizer()


@pytest.fixture
def folder(tmp_path: Path, weights: dict[str, Tensor], tokenizer: bytes) -> Path:
    """Free to be damaged."""
    write_shards(tmp_path / "deqa", weights)
    write_config(tmp_path / "deqa", TINY)
    (tmp_path / "deqa" / "tokenizer.model").write_bytes(tokenizer)
    return tmp_path / "deqa"


@pytest.fixture
def deqa(folder: Path) -> DeqaQuality:
    return load_deqa(folder)


@pytest.fixture(scope="session")
def photos() -> list[PIL.Image.Image]:
    """Upright, lying, square, narrow, a panorama of 1:40, one pixel, and black."""
    photo = PIL.Image.fromarray(skimage.data.astronaut())
    sizes = [(60, 91), (117, 80), (42, 42), (9, 64), (400, 10), (1, 1)]
    black = PIL.Image.fromarray(np.zeros((50, 70, 3), np.uint8))
    return [*(photo.resize(size) for size in sizes), black]

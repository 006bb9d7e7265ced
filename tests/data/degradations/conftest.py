import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor


@pytest.fixture(scope="session")
def photos() -> Tensor:
    """(3, 3, 192, 256) in [0, 1]: a portrait, a still life and an animal."""
    crops = [data.astronaut()[:192, 100:356], data.coffee()[50:242, 100:356], data.chelsea()[:192, 60:316]]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)

"""A small model in a folder, for commands that restore."""

from dataclasses import replace

import pytest
import torch

from clearair.finishing import FinishedNetwork
from clearair.models import save_model
from clearair.network import TINY


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    small = replace(TINY, quality_dim=32, content_dim=64, degradation_dim=64, region_count=16)
    save_model(FinishedNetwork(small), folder)
    return folder

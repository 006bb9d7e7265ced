from pathlib import Path

import pytest
from tests.training.conftest import write_data


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as training wants it."""
    return write_data(tmp_path_factory.mktemp("data"))

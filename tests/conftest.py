import os
import tempfile

import pytest
from hypothesis import settings

# How long an example takes says more about what else the machine is doing than about the code.
settings.register_profile("clearair", deadline=None, max_examples=30)
settings.load_profile("clearair")


@pytest.fixture(scope="session", autouse=True)
def home():
    """Let runs, also in other processes, remember nothing of this machine and leave nothing on it."""
    before = os.environ.get("CLEARAIR_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CLEARAIR_HOME"] = folder
        yield folder
    if before is None:
        del os.environ["CLEARAIR_HOME"]
    else:
        os.environ["CLEARAIR_HOME"] = before

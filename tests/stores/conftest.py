"""Stores on real servers of S3 and Google of this machine and in fsspec's memory."""

import pytest

from clearair.stores import Address


@pytest.fixture
def store(object_server, monkeypatch):
    from tests.object_store import known

    with known(object_server, monkeypatch):
        yield object_server


@pytest.fixture
def google(google_server, monkeypatch):
    from tests.object_store import known

    with known(google_server, monkeypatch):
        yield google_server


@pytest.fixture(params=["s3", "gs", "memory"])
def root(request):
    """A place for objects in each of three stores."""
    from tests.object_store import BUCKET

    if request.param != "memory":
        request.getfixturevalue({"s3": "store", "gs": "google"}[request.param])
    yield Address(f"{request.param}://{BUCKET}/root")
    if request.param == "memory":
        import fsspec

        fsspec.filesystem("memory").store.clear()

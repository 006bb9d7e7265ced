"""Nobody waits for a store longer than its answer is wanted."""

import threading

import pytest

from clearair.stores import Address, until

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from tests.object_store import BUCKET


def test_who_stops_does_not_wait_for_a_store_that_never_answers(store):
    silence, stop = threading.Event(), threading.Event()
    store.fault = lambda *_: silence.wait(60) and None
    threading.Timer(0.5, stop.set).start()
    try:
        with until(stop), pytest.raises(InterruptedError):
            Address(f"s3://{BUCKET}/a.jpg").read()
    finally:
        silence.set()

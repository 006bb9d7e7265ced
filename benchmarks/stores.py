"""Measure how long a store may be busy before a photo fails, with a local S3 server.

    PYTHONPATH=. python benchmarks/stores.py
    AWS_MAX_ATTEMPTS=8 PYTHONPATH=. python benchmarks/stores.py

s3fs and botocore retry with random, increasing pauses.
"""

from __future__ import annotations

import os
import time

from tests.object_store import BUCKET, Fault, running

from clearair.stores import Address

ANSWERS = (("503 Service Unavailable", "ServiceUnavailable"), ("503 Slow Down", "SlowDown"))


def always(status: str, code: str) -> Fault:
    """The same answer to everything."""
    return lambda method, path: (status, code)


def main() -> None:
    with running() as store:
        os.environ.update(store.settings)
        for answer in ANSWERS:
            for repeat in range(3):
                store.fault = always(*answer)
                store.asked.clear()
                began = time.monotonic()
                try:
                    Address(f"s3://{BUCKET}/photo.jpg").head(1)
                except OSError:
                    waited = time.monotonic() - began
                    print(f"{answer[1]:20} {repeat + 1}: {store.asked.total()} requests in {waited:.0f} s")


if __name__ == "__main__":
    main()

"""A server as its users start it, and pictures to send to it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import requests

from clearair.image import Photo, encode_photo

SERVE = ("-m", "clearair", "serve", "--port", "0", "--workers", "1")
EXAMPLE = Path(__file__).parents[3] / "examples" / "degraded.jpg"


class Running:
    """A server process, and a client of it."""

    def __init__(self, process: subprocess.Popen, address: str, log: Path) -> None:
        self.process = process
        self.address = address.rstrip("/")
        self.log = log
        self.client = requests.Session()

    @property
    def host(self) -> tuple[str, int]:
        name, _, port = self.address.removeprefix("http://").rpartition(":")
        return name, int(port)

    def get(self, path: str, **options):
        return self.client.get(self.address + path, timeout=60, **options)

    def post(self, path: str, data=b"", **options):
        return self.client.post(self.address + path, data=data, timeout=60, **options)

    def delete(self, path: str):
        return self.client.delete(self.address + path, timeout=60)

    def end_of(self, job: dict) -> dict:
        """Wait until a job is over."""
        late = time.monotonic() + 60
        while job["status"] in ("queued", "running") and time.monotonic() < late:
            time.sleep(0.05)
            job = self.get("/" + job["links"]["self"]).json()
        return job

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 when it was never counted."""
        words = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        pattern = re.escape(f"{name}{{{words}}}" if words else name) + r" (\S+)"
        found = re.search(rf"^{pattern}$", self.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def children(self) -> list[int]:
        """Process numbers of its workers."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def serving(
    folder: Path, *options: str, program: str = "", environment: dict[str, str] | None = None
) -> Iterator[Running]:
    """A server with these options, or started by a program of Python, which is ended afterwards."""
    log = folder / "server.log"
    command = [sys.executable, *(("-c", program) if program else (*SERVE, *options))]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors, env={**os.environ, **(environment or {})})
    try:
        late = time.monotonic() + 120
        while not (found := re.search(r"page at (\S+),", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < late, "the server did not start"
            time.sleep(0.05)
        yield Running(process, found[1], log)
    finally:
        process.kill()
        process.wait()


def noisy(height: int = 96, width: int = 128, format: str = "png", seed: int = 0) -> bytes:
    """A noisy picture as a file."""
    draw = np.random.default_rng(seed)
    ramp = np.linspace(60, 190, width)[None, :, None] + np.zeros((height, 1, 3))
    pixels = (ramp + draw.normal(0, 25, ramp.shape)).clip(0, 255).astype(np.uint8)
    return encode_photo(Photo(pixels), format)

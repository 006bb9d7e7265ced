"""Measure the throughput of `clearair serve`, and its stability under overload.

    python benchmarks/serving.py --seconds 600 --times 4

Starts a server and measures its capacity with one client after another. Then, for `--seconds`, clients send a
multiple of that capacity, regardless of the answers, while one asks `/healthz` ten times a second. Prints the
answers, their times, and the memory of the server and its workers before, in the middle and at the end. With
`--requests N` it ends after so many requests instead, and with `--clients N` each of so many clients waits
for its answer before it asks again, so that nothing is refused. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from command_line import parser_of
from measuring import resident
from sample_pictures import noisy_ramp

from clearair.image import Photo, encode_photo


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--requests", type=int, help="end after this many requests instead")
    parser.add_argument("--clients", type=int, help="number of clients that send one request after another")
    parser.add_argument("--times", type=float, default=4, help="requests sent, in terms of the capacity")
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--path", default="/v1/restore")
    parser.add_argument("--workers", default="1")
    asyncio.run(measure(parser.parse_args()))


async def measure(options: argparse.Namespace) -> None:
    pixels = noisy_ramp(options.height, options.width, np.random.default_rng(0))
    picture = encode_photo(Photo(pixels), "jpeg")
    process, port = start(options.workers)
    try:
        request = post(options.path, picture)
        for _ in range(5):
            await ask(port, request)
        began = time.perf_counter()
        for _ in range(20):
            await ask(port, request)
        capacity = 20 / (time.perf_counter() - began)
        print(
            f"{options.width} x {options.height} px: {capacity:.2f} pictures a second, "
            f"{60 * capacity:.0f} a minute"
        )
        await load(options, process.pid, port, request, capacity)
    finally:
        process.terminate()
        print(f"ended with exit code {process.wait(60)}")


async def load(options: argparse.Namespace, pid: int, port: int, request: bytes, capacity: float) -> None:
    """Overload the server, and print the results."""
    answers: list[tuple[str, float]] = []
    healthy: list[float] = []
    tasks: set[asyncio.Task[None]] = set()
    memory = [family_memory(pid)]
    pause = 1 / (options.times * capacity)
    began = time.perf_counter()

    async def send() -> None:
        answers.append(await ask(port, request))

    async def check_health() -> None:
        while True:
            status, seconds = await ask(port, get("/healthz"))
            healthy.append(seconds if status == "200" else float("inf"))
            await asyncio.sleep(0.1)

    health = asyncio.create_task(check_health())
    sent = 0
    while True:
        if options.clients and len(tasks) >= options.clients:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(send())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        sent += 1
        passed = time.perf_counter() - began
        if options.requests and sent >= options.requests:
            break
        if not options.requests and passed >= options.seconds:
            break
        if len(memory) < 1 + passed // 60:
            memory.append(family_memory(pid))
        if not options.clients:
            await asyncio.sleep(max(0, sent * pause - (time.perf_counter() - began)))
    await asyncio.gather(*tasks)
    passed = time.perf_counter() - began
    health.cancel()
    memory.append(family_memory(pid))
    counts = Counter(status for status, _ in answers)
    print(f"sent {sent} requests in {passed:.0f} s, {sent / passed / capacity:.1f} times the capacity")
    print(f"answers: {', '.join(f'{count} with {status}' for status, count in sorted(counts.items()))}")
    for status in sorted(counts):
        tell(f"answers with {status}", [seconds for code, seconds in answers if code == status])
    tell("/healthz", healthy)
    print(
        "MB of the server and its workers, each minute: " + ", ".join(f"{each / 1e6:.0f}" for each in memory)
    )


def tell(what: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    at = {share: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99)}
    print(
        f"{what}: {len(ordered)}, median {1000 * at[0.5]:.0f} ms, p99 {1000 * at[0.99]:.0f} ms, "
        f"mean {1000 * statistics.fmean(ordered):.0f} ms"
    )


def start(workers: str) -> tuple[subprocess.Popen[bytes], int]:
    """A server at a port that is free, once it answers."""
    command = [sys.executable, "-m", "clearair", "serve", "--port", "0", "--workers", workers]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    line = process.stderr.readline().decode()
    found = re.search(r"page at http://[^:]+:(\d+)/", line)
    if found is None:
        raise SystemExit(line)
    return process, int(found[1])


def post(path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


async def ask(port: int, request: bytes) -> tuple[str, float]:
    """The status of an answer that is complete, else what went wrong; and the seconds that it took."""
    began = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            answer = await reader.read()
        finally:
            writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        whole = length is not None and int(length[1]) == len(body)
        status = head[9:12].decode() if whole else "cut off"
    except OSError as error:
        status = type(error).__name__
    return status, time.perf_counter() - began


def family_memory(pid: int) -> int:
    """Bytes of memory of a process and of its children."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return sum(resident(each) for each in (pid, *children))


if __name__ == "__main__":
    main()

"""Memory, seconds, and the processor that they were measured on. What is read in /proc is there on Linux."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def peak() -> int:
    """The most bytes of memory that this process has held.

    Unlike getrusage, it does not count what the process that started this one had in use.
    """
    return _status("self", "VmHWM")


def resident(pid: int) -> int:
    """Bytes of memory of a process; 0 once it has ended."""
    return _status(str(pid), "VmRSS")


def _status(process: str, field: str) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    _, found, rest = status.partition(f"{field}:")
    return 1024 * int(rest.split()[0]) if found else 0


def processor_seconds(run: Callable[[], object]) -> float:
    """Seconds of the processor, all threads together, that a call takes."""
    began = time.process_time()
    run()
    return time.process_time() - began


def clock_seconds(run: Callable[[], object]) -> float:
    """Seconds that a call takes by the clock."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def in_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each by the clock, by name: all take turns, after a round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            taken = clock_seconds(run)
            if number:
                seconds[name].append(taken)
    return seconds


def processor() -> dict[str, Any]:
    """What the kernel says of it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict(reversed([line.split(":", 1) for line in lines if ":" in line]))
    known = {key.strip(): value.strip() for key, value in fields.items()}
    flags = known.get("flags", "").split()
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return {"processor": known.get("model name", ""), "instructions": [f for f in wanted if f in flags]}

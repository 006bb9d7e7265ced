"""What the command lines of the benchmarks share."""

from __future__ import annotations

import argparse
import os


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the docstring of the program, as it is written there."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def size_of(said: str) -> tuple[int, int]:
    """Width and height of such as "1200x800"."""
    width, height = map(int, said.split("x"))
    return width, height


def keep_to_cores(count: int) -> None:
    """Let this process run on so many of its cores. Linux only."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])

"""What the photos of a batch share: how many are restored at once, and what each does after a tile."""

from __future__ import annotations

import threading

from clearair.budget import Budget
from clearair.errors import UsageError
from clearair.files.stages import StoppedError
from clearair.graphs import Crowd, usable_cores
from clearair.restoring import OnTile
from clearair.runtime.protocol import CountsMemory, Runtime


def photos_at_once(asked: int | None, runtime: Runtime, budget: Budget) -> int:
    """How many photos are restored at once; None asks for as many as the runtime makes good use of.

    Raises UsageError for a number that makes no sense.
    """
    if asked is None:
        side_by_side = isinstance(runtime, CountsMemory) and runtime.runs_side_by_side
        return budget.jobs(usable_cores()) if side_by_side else 1
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
        raise UsageError(f"jobs is a number of at least 1, got {asked!r}.")
    return asked


def between_tiles(stop: threading.Event, crowd: Crowd, tell: OnTile | None) -> OnTile:
    """What every picture of a batch does after each tile: end if it is to stop, share the cores, and tell."""

    def on_tile(done: int, total: int) -> None:
        if stop.is_set():
            raise StoppedError
        crowd.share()
        if tell:
            tell(done, total)

    return on_tile

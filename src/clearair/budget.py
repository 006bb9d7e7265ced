"""Memory budget: how much a picture needs, how large its tiles are, and how many are restored at once.

The memory of a picture depends on its size alone, so the same budget always gives the same tiles. Shapes: H x
W pixels.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

from clearair.errors import ImageError, UsageError
from clearair.memory import JPEG_LIMIT, JPEG_PIXEL_BYTES, free_addresses, free_memory, resident
from clearair.tiling.tiles import ALIGNMENT, MIN_SIDE

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_BINARY = {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")

_WORK = 100 << 20
"""Bytes that perceivers, graphs for other numbers of threads, libvips and its codecs need when they run."""
_A_JOB = 400 << 20
"""Free bytes per picture that are needed before another one is restored at the same time."""
_TABLES = 12 << 20
"""Bytes that a tile takes whatever its size."""
_GOOD_SIDE = 256
"""Side of tiles with little overlap."""
_SHARE = 0.9
"""Share of the free memory, which other programs also use."""


def parse_size(said: int | str) -> int:
    """Bytes: a number, or such as "700MB", "1.5GB" and "1GiB". Raises UsageError."""
    if isinstance(said, int) and not isinstance(said, bool) and said > 0:
        return said
    match = _SIZE.fullmatch(said.strip()) if isinstance(said, str) else None
    unit = {**_UNITS, **_BINARY}.get(match[2].lower()) if match else None
    size = int(float(match[1]) * unit) if match and unit else 0
    if size < 1:
        raise UsageError(f"memory budget {said!r}: not a size; say such as 700MB, 1.5GB or 1GiB.")
    return size


@dataclass(frozen=True)
class Budget:
    """Memory for pictures, beside what the process takes without any."""

    room: int | None
    """Bytes for pictures; None = unknown, so nothing is refused."""
    tile_pixel: int
    """Bytes that a network takes for a pixel of a tile."""
    may_overwrite: bool = False
    """Whether a network needs only the window that it restores, once it has judged the picture."""
    total: int | None = None
    """The requested budget of the whole process; None = what is free."""
    addresses: int | None = None
    """Bytes of address space left; this limits tiles but refuses nothing, since failures are retried."""

    @classmethod
    def of(cls, said: int | str | None, tile_pixel: int, *, may_overwrite: bool = False) -> Budget:
        """A budget for this process as it is now, with its model loaded. None takes what is free.

        Raises UsageError for one that is too small for any picture.
        """
        used = resident() + _WORK
        if said is None:
            free = free_memory()
            room = None if free is None else max(0, int(_SHARE * free) - _WORK)
            return cls(room, tile_pixel, may_overwrite, addresses=_left_for_tiles(free_addresses()))
        total = parse_size(said)
        least = used + _tile_bytes(MIN_SIDE, MIN_SIDE, tile_pixel)
        if total < least:
            raise UsageError(
                f"memory budget {said}: too small for any picture; "
                f"the least that works is {in_megabytes(least)}."
            )
        return cls(total - used, tile_pixel, may_overwrite, total, _left_for_tiles(free_addresses()))

    def jobs(self, most: int) -> int:
        """The best number of pictures to restore at once, at most `most`."""
        return most if self.room is None else max(1, min(most, self.room // _A_JOB))

    def overwrites(self, size: tuple[int, int], pixel_bytes: int) -> bool:
        """Whether a picture (width, height) fits only if the result replaces the input pixels.

        A tile of a good size must fit as well.
        """
        if self.room is None or not self.may_overwrite:
            return False
        tile = _tile_bytes(_used(size, _GOOD_SIDE), size[0], self.tile_pixel)
        return size[0] * size[1] * (2 * pixel_bytes + 1) + tile > self.room

    def _picture_bytes(self, size: tuple[int, int], pixel_bytes: int) -> int:
        """Input, output, and a label for each pixel."""
        copies = 1 if self.overwrites(size, pixel_bytes) else 2
        return size[0] * size[1] * (copies * pixel_bytes + 1)

    def side_for(self, size: tuple[int, int], pixel_bytes: int, side: int | None) -> int | None:
        """The side of tiles, at most `side`, that fits beside a picture (width, height) with so many bytes a
        pixel; None = the whole picture is one tile.

        The smallest side if no tile fits: `cost` reports that memory is too short.
        """
        rooms = [room for room in (self.room, self.addresses) if room is not None]
        if not rooms:
            return side
        left = min(rooms) - self._picture_bytes(size, pixel_bytes)
        fitting = side
        while _tile_bytes(_used(size, fitting), size[0], self.tile_pixel) > left:
            smaller = _used(size, fitting) * 3 // 4 // ALIGNMENT * ALIGNMENT
            if smaller < MIN_SIDE:
                return MIN_SIDE
            fitting = smaller
        return fitting

    def cost(self, size: tuple[int, int], pixel_bytes: int, side: int | None) -> int:
        """Bytes that a picture takes at most, restored in tiles of at most `side`.

        Raises ImageError, without the picture's name, when even small tiles do not fit.
        """
        picture = self._picture_bytes(size, pixel_bytes)
        least = picture + _tile_bytes(_used(size, MIN_SIDE), size[0], self.tile_pixel)
        encoding = 0 if self.total is None else _encoding_bytes(size, pixel_bytes)
        least = max(least, encoding)
        if self.room is not None and least > self.room:
            needed = in_megabytes(least if self.total is None else least + self.total - self.room)
            has = (
                f"{in_megabytes(self.room)} are free. Close other programs, or"
                if self.total is None
                else f"the memory budget is {in_megabytes(self.total)}. Raise it, or"
            )
            raise ImageError(
                f"{size[0]} x {size[1]} px need {needed} of memory, and {has} make the picture smaller first."
            )
        used = _used(size, self.side_for(size, pixel_bytes, side))
        return max(encoding, picture + _tile_bytes(used, size[0], self.tile_pixel))


class Gate:
    """Admits pictures to memory while there is room; a single one is always admitted."""

    def __init__(self, room: int | None) -> None:
        self._room = room
        self._taken: dict[object, int] = {}
        self._changed = threading.Condition()
        self._closed = False

    def enter(self, who: object, cost: int) -> None:
        """Wait until this many bytes are free. Raises ClosedError after the gate was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._fits(cost))
            if self._closed:
                raise ClosedError
            self._taken[who] = cost

    def try_enter(self, who: object, cost: int) -> bool:
        """Enter where there is room at once; returns whether there was."""
        with self._changed:
            fits = who in self._taken or self._fits(cost)
            if fits:
                self._taken[who] = cost
            return fits

    def leave(self, who: object) -> None:
        """Free the memory of a picture; does nothing if it was not admitted."""
        with self._changed:
            if self._taken.pop(who, None) is not None:
                self._changed.notify_all()

    def close(self) -> None:
        """Admit nothing more, and wake all waiting threads with an error."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, cost: int) -> bool:
        return self._room is None or not self._taken or sum(self._taken.values()) + cost <= self._room


class ClosedError(Exception):
    """The gate was closed while a thread waited."""


def in_megabytes(size: int) -> str:
    """Such as "1,300MB", rounded up."""
    return f"{-(-size // 10**6):,}MB"


def _left_for_tiles(addresses: int | None) -> int | None:
    return None if addresses is None else max(0, addresses - _WORK)


def _used(size: tuple[int, int], side: int | None) -> int:
    """The side of tiles in a picture (width, height) that may be smaller than they."""
    return max(size) if side is None else min(max(size), side)


def _encoding_bytes(size: tuple[int, int], pixel_bytes: int) -> int:
    """Memory of the JPEG encoder when it optimises its Huffman codes."""
    pixels = size[0] * size[1]
    return pixels * (pixel_bytes + JPEG_PIXEL_BYTES) if pixels * pixel_bytes <= JPEG_LIMIT else 0


def _tile_bytes(side: int, width: int, tile_pixel: int) -> int:
    """A tile, and three rows of tiles as float32: input, blended, and output."""
    return _TABLES + side * side * tile_pixel + width * side * 3 * 4 * 3

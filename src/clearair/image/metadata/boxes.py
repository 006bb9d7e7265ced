"""The boxes of an AVIF file, and what they say of its first picture (ISO/IEC 14496-12; ISO/IEC 23008-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[str, int, int]]:
    """(type, start and end of the content) of the boxes that stand one after another."""
    end = len(data) if end is None else end
    at = start
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        body = at + 8
        if size == 1 and at + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            body = at + 16
        following = end if size == 0 else at + size
        if following < body or following > end:
            return
        yield kind.decode("latin-1"), body, following
        at = following


def meta(data: bytes) -> tuple[int, int]:
    """Start and end of what is in the `meta` box, behind its version and flags."""
    return next(((start + 4, end) for kind, start, end in boxes(data) if kind == "meta"), (0, 0))


def children(data: bytes, place: tuple[int, int], *path: str) -> list[tuple[str, int, int]]:
    """The boxes in the box that `path` leads to."""
    for name in path:
        place = next(((start, end) for kind, start, end in boxes(data, *place) if kind == name), (0, 0))
        if name == "iref":
            place = (min(place[0] + 4, place[1]), place[1])  # behind its version and flags
    return list(boxes(data, *place))


def primary(data: bytes) -> int:
    """The number of the first picture's item."""
    for kind, start, end in boxes(data, *meta(data)):
        if kind == "pitm" and start < end:
            return int.from_bytes(data[start + 4 : min(start + (6 if data[start] == 0 else 8), end)], "big")
    return 0


def item_kinds(data: bytes) -> dict[int, bytes]:
    """The type of each item by its number."""
    kinds: dict[int, bytes] = {}
    for kind, start, end in boxes(data, *meta(data)):
        if kind == "iinf" and start < end:
            for _, at, to in boxes(data, start + (6 if data[start] == 0 else 8), end):
                wide = 4 if data[at:to][:1] == b"\3" else 2
                number = int.from_bytes(data[at + 4 : at + 4 + wide], "big")
                kinds[number] = data[at + 6 + wide : at + 10 + wide]
    return kinds


def properties(data: bytes) -> dict[str, bytes]:
    """The properties of the first picture by type, `colr nclx` for a `colr` of that kind.

    A picture made of tiles has those of a tile too.
    """
    defined = children(data, meta(data), "iprp", "ipco")
    items = [primary(data), *_tiles(data, primary(data))[:1]]
    found: dict[str, bytes] = {}
    for kind, start, end in children(data, meta(data), "iprp"):
        if kind != "ipma":
            continue
        for item, indices in _associations(data[start:end]):
            for index in indices if item in items else ():
                if 0 < index <= len(defined):
                    name, at, to = defined[index - 1]
                    body = data[at:to]
                    found.setdefault("colr nclx" if name == "colr" and body[:4] == b"nclx" else name, body)
    return found


def _associations(body: bytes) -> Iterator[tuple[int, list[int]]]:
    """(item, numbers of its properties) of an `ipma` box."""
    if len(body) < 8:
        return
    wide, long = (4 if body[0] else 2), body[3] & 1
    at = 8
    for _ in range(int.from_bytes(body[4:8], "big")):
        if at + wide >= len(body):
            return
        item, count = int.from_bytes(body[at : at + wide], "big"), body[at + wide]
        at += wide + 1
        step = 2 if long else 1
        numbers = [body[place : place + step] for place in range(at, at + step * count, step)]
        yield item, [int.from_bytes(each, "big") & (0x7FFF if long else 0x7F) for each in numbers]
        at += step * count


def _tiles(data: bytes, item: int) -> list[int]:
    """The items that a picture is put together from."""
    for kind, start, end in children(data, meta(data), "iref"):
        body = data[start:end]
        if kind == "dimg" and int.from_bytes(body[:2], "big") == item:
            return [int.from_bytes(body[at : at + 2], "big") for at in range(4, len(body) - 1, 2)]
    return []

"""Damage to the coded pixels of a JPEG that its decoder ignores (ITU T.81, annexes B and F).

libjpeg reports only the first problem that it finds, and it decodes anything, even zeros.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

RemarkOn = Callable[[bytes], str | None]
"""Decodes a file and returns the first remark of its decoder."""

_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_SOF0, _SOF1, _SOF2, _DHT, _SOI, _EOI, _SOS, _DQT, _DRI = 0xC0, 0xC1, 0xC2, 0xC4, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}
_NEEDED = _FRAMES | {_DHT, _DQT, _DRI}
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_MOST_DECODES = 32
_FEW, _MANY = 32, 160
"""Runs of zero bytes that never occur in intact sequential files, and in files with several scans."""


def find_damage(data: bytes, remark_on: RemarkOn) -> str | None:
    """Describe damage to the coded pixels of a file that its decoder accepts, with or without a remark.

    Harmless are odd numbers in the header, stray bytes between segments, and padding after the last block of
    a scan.
    """
    data, remark = _without_padding(_bare(data), remark_on)
    if remark:
        return remark
    scans = list(_scans(data))
    if _lacks_scans(scans):
        return "its last scans are missing"
    if any(_has_hole(scan, data, remark_on, len(scans)) for scan in scans):
        return "a part of it is filled with zeros"
    return None


@dataclass(frozen=True)
class _Scan:
    """The coded data of one scan, data[start:end]."""

    start: int
    end: int
    header: bytes
    """The body of its SOS segment."""
    frame: int
    """The marker of the frame that it belongs to."""
    first_symbols: tuple[int, ...]
    """The meaning of the all-zero code in each AC table seen so far; 0 ends a block."""


@dataclass
class _Tables:
    """The coding of a scan, as stated by the segments before it."""

    frame: int = 0
    first_symbols: dict[int, int] = field(default_factory=dict)
    """By the number of the AC table."""

    def take(self, marker: int, body: bytes) -> None:
        if marker in _FRAMES:
            self.frame = marker
        at = 0
        while marker == _DHT and at + 17 < len(body):
            if body[at] >> 4:
                self.first_symbols[body[at]] = body[at + 17]
            at += 17 + sum(body[at + 1 : at + 17])


def _lacks_scans(scans: list[_Scan]) -> bool:
    """Whether a progressive file announces more exact coefficients than it holds."""
    exactness: dict[tuple[int, int], int] = {}  # bits still to come, by component and coefficient
    for scan in scans:
        if scan.frame == _SOF2 and len(scan.header) >= 6:
            first, last, approximation = scan.header[-3:]
            for component in scan.header[1:-3:2]:
                for coefficient in range(first, min(last, 63) + 1):
                    exactness[component, coefficient] = approximation & 15
    return any(exactness.values())


def _has_hole(scan: _Scan, data: bytes, remark_on: RemarkOn, scans: int) -> bool:
    """Whether a part of a scan is zeros, as an interrupted copy leaves them.

    If zeros may mean a flat area, they count as a hole only if the blocks end before the data: then the
    decoder does not miss the last bytes. In files with several scans it reports this anyway.
    """
    if scan.frame not in (_SOF0, _SOF1, _SOF2):
        return False
    if scan.frame == _SOF2 or scans > 1:
        codes_flat_areas = len(scan.header) >= 6 and scan.header[-3] == 0
        return not codes_flat_areas and data.find(bytes(_MANY), scan.start, scan.end) >= 0
    if data.find(bytes(_FEW), scan.start, scan.end) < 0:
        return False
    if any(scan.first_symbols):
        return True
    end = len(data[: scan.end].rstrip(b"\xff").rstrip(b"\0"))
    return remark_on(data[: max(end - 2, scan.start)] + data[scan.end :]) is None


def _without_padding(data: bytes, remark_on: RemarkOn) -> tuple[bytes, str | None]:
    """Remove padding until the decoder reports nothing, or something that matters.

    Returns the last decoded file and the remark on it. Remaining data that are not padding belong to blocks
    that were not decoded.
    """
    remark = remark_on(data)
    for _ in range(_MOST_DECODES):
        left_over = _LEFT_OVER.search(remark or "")
        if not left_over:
            break
        count, marker = int(left_over[1]), int(left_over[2], 16)
        for shorter in _shorter(data, count, marker):
            following = remark_on(shorter)
            # In another scan than the one that was meant, these bytes are missed.
            if following is None or _LEFT_OVER.search(following):
                data, remark = shorter, following
                break
        else:
            break
    scans = list(_scans(data))
    if remark is None and len(scans) == 1:  # whose decoder stops before the padding
        filled = data[: scans[0].end].rstrip(b"\xff")
        end = max(len(filled.rstrip(b"\0")), scans[0].start)
        shorter = data[:end] + data[scans[0].end :]
        if len(filled) - end >= _FEW and remark_on(shorter) is None:
            data = shorter
    return data, remark


def _shorter(data: bytes, count: int, marker: int) -> Iterator[bytes]:
    """The file without the last `count` bytes of the scan before this marker, if they are padding."""
    for scan in _scans(data):
        end = len(data[: scan.end].rstrip(b"\xff"))  # fill bytes, which are not counted
        last = data[max(end - count, scan.start) : end]
        is_padding = len(last) <= 2 or len(set(last)) == 1
        if is_padding and data[scan.end + 1 : scan.end + 2] == bytes((marker,)):
            yield data[: end - len(last)] + data[scan.end :]


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of every segment up to the end marker; coded data stand between them."""
    at = 2
    while marker := _MARKER.search(data, at):
        kind, start, at = marker.group()[1], marker.start(), marker.end()
        if kind not in (_SOI, _EOI):
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
        yield kind, start, at
        if kind == _EOI:
            return


def _scans(data: bytes) -> Iterator[_Scan]:
    """Every scan up to the end marker."""
    tables = _Tables()
    for kind, start, end in segments(data):
        body = data[start + 4 : end]
        if kind == _SOS:
            following = _MARKER.search(data, end)
            after = following.start() if following else len(data)
            symbols = tuple(tables.first_symbols.values())
            yield _Scan(end, after, body, tables.frame, symbols)
        else:
            tables.take(kind, body)


def _bare(data: bytes) -> bytes:
    """The file without descriptions, stray bytes between segments, and odd numbers that are not used."""
    parts = [data[:2]]
    frame = 0
    for kind, start, end in segments(data):
        segment = bytearray(data[start:end])
        if kind in _FRAMES:
            frame = kind
        if kind == _SOS:
            if frame in (_SOF0, _SOF1) and len(segment) >= 7:
                segment[-3:] = b"\0\x3f\0"
            following = _MARKER.search(data, end)
            segment += data[end : following.start() if following else len(data)]
        if kind in _NEEDED or kind in (_SOS, _EOI):
            parts.append(bytes(segment))
    return b"".join(parts)

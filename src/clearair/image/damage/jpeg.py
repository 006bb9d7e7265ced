"""Damage to the coded pixels of a JPEG that its decoder passes over (ITU T.81, annexes B, F and G).

libjpeg reports the first thing that it finds odd and nothing after it, and it decodes anything, zeros too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

RemarkOn = Callable[[bytes], str | None]
"""Decodes a file and returns the first remark of its decoder."""

_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_SOF0, _SOF1, _SOF2, _DHT, _SOI, _EOI, _SOS, _DQT = 0xC0, 0xC1, 0xC2, 0xC4, 0xD8, 0xD9, 0xDA, 0xDB
_APP0, _APP14, _APP15, _COM = 0xE0, 0xEE, 0xEF, 0xFE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_MOST_DECODES = 32
_FEW, _MANY = 32, 160
_DC_RANGE = 2048
"""Of the first coefficient of a block before it is quantised, 8 times that of a pixel."""


def find_remark(data: bytes, remark_on: RemarkOn) -> tuple[bytes, str | None]:
    """Take out what costs no pixels until the decoder has nothing to say, or something that matters.

    Returns the last file decoded and what was said of it. Harmless are odd numbers in the header, stray bytes
    between segments, and padding after the last block of a scan; left over data that are no padding belong to
    blocks that were not decoded.
    """
    data = _plain(data)
    remark = remark_on(data)
    decodes = 1
    while remark and (left_over := _LEFT_OVER.search(remark)) and decodes < _MOST_DECODES:
        count, marker = int(left_over[1]), int(left_over[2], 16)
        for scan in _scans(data):
            end = len(data[: scan.end].rstrip(b"\xff"))  # fill bytes, which are not counted
            if data[scan.end + 1 : scan.end + 2] != bytes((marker,)) or not _is_padding(
                data[max(end - count, scan.start) : end]
            ):
                continue
            shorter = data[: max(end - count, scan.start)] + data[scan.end :]
            following = remark_on(shorter)
            decodes += 1
            # In another scan than the one that was meant, these bytes are missed.
            if following is None or _LEFT_OVER.search(following):
                data, remark = shorter, following
                break
        else:
            return data, remark
    return data, remark


def lacks_scans(data: bytes) -> bool:
    """Whether a progressive file announces more exact coefficients than it holds: its last scans are gone."""
    exactness: dict[tuple[int, int], int] = {}  # bits still to come, by component and coefficient
    for scan in _scans(data):
        if scan.progressive and len(scan.header) >= 6:
            first, last, approximation = scan.header[-3:]
            for component in scan.header[1:-3:2]:
                for coefficient in range(first, min(last, 63) + 1):
                    exactness[component, coefficient] = approximation & 15
    return any(exactness.values())


def has_hole(data: bytes, remark_on: RemarkOn) -> bool:
    """Whether a part of the pixels' data is zeros, as an interrupted copy leaves them.

    Where a flat area may be coded by zeros alone, these are a hole if blocks run out before the data do:
    then the decoder does not miss the last bytes. It says so of files of several scans anyway.
    """
    data = _without_padding(data, remark_on)
    scans = list(_scans(data))
    if any(scan.zeros is not None and _stands_in(scan.zeros, data, scan) for scan in scans):
        return True
    if len(scans) > 1 or not any(_stands_in(_FEW, data, scan) for scan in scans):
        return False
    end = len(data[: scans[0].end].rstrip(b"\xff").rstrip(b"\0"))
    return remark_on(data[: max(end - 2, scans[0].start)] + data[scans[0].end :]) is None


def _without_padding(data: bytes, remark_on: RemarkOn) -> bytes:
    """Cut off zeros after the last block of a single scan; its decoder stops before them."""
    scans = list(_scans(data))
    if len(scans) != 1:
        return data
    filled = data[: scans[0].end].rstrip(b"\xff")
    end = max(len(filled.rstrip(b"\0")), scans[0].start)
    shorter = data[:end] + data[scans[0].end :]
    return shorter if len(filled) - end >= _FEW and remark_on(shorter) is None else data


def _stands_in(zeros: int, data: bytes, scan: _Scan) -> bool:
    return data.find(bytes(zeros), scan.start, scan.end) >= 0


@dataclass(frozen=True)
class _Code:
    """What the code of all zeros stands for in a Huffman table."""

    length: int
    symbol: int
    has_runs: bool
    """Whether any code of the table ends more than one block at once, as in progressive files."""


@dataclass(frozen=True)
class _Scan:
    """The coded data of one scan, data[start:end]."""

    start: int
    end: int
    zeros: int | None
    """So many zero bytes cannot come from a picture; None when any number can."""
    header: bytes
    """The body of its SOS segment."""
    progressive: bool


@dataclass
class _Tables:
    """What the segments before a scan say of how it is coded."""

    frame: int = 0
    codes: dict[int, _Code] = field(default_factory=dict)
    """By class (0 DC, 1 AC) x 16 + number."""
    steps: dict[int, int] = field(default_factory=dict)
    """By which a quantisation table divides the first coefficient."""
    components: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Blocks in a unit of interleaved data, and quantisation table."""

    def take(self, marker: int, body: bytes) -> None:
        if marker == _DHT:
            self._take_codes(body)
        elif marker == _DQT:
            at = 0
            while at + 3 <= len(body):
                wide = body[at] >> 4
                self.steps[body[at] & 15] = int.from_bytes(body[at + 1 : at + 2 + bool(wide)], "big")
                at += 129 if wide else 65
        elif marker in _FRAMES:
            self.frame = marker
            for at in range(6, len(body) - 2, 3):
                sampling = body[at + 1]
                self.components[body[at]] = ((sampling >> 4) * (sampling & 15), body[at + 2])

    def _take_codes(self, body: bytes) -> None:
        at = 0
        while at + 17 < len(body):
            counts = body[at + 1 : at + 17]
            symbols = body[at + 17 : at + 17 + sum(counts)]
            if symbols:
                length = next(length for length, count in enumerate(counts, 1) if count)
                runs = any(symbol & 15 == 0 and 0 < symbol < 0xF0 for symbol in symbols)
                self.codes[body[at]] = _Code(length, symbols[0], runs)
            at += 17 + sum(counts)

    def zeros_in(self, header: bytes) -> int | None:
        """The `zeros` of the scan with this header (the body of SOS)."""
        if self.frame not in (_SOF0, _SOF1, _SOF2) or len(header) < 6 or len(header) < 4 + 2 * header[0]:
            return None
        progressive = self.frame == _SOF2
        first, approximation = header[-3], header[-1]
        chosen = [(header[at], header[at + 1]) for at in range(1, 1 + 2 * header[0], 2)]
        if progressive and first > 0:
            ac = self.codes.get(16 + (chosen[0][1] & 15))
            # Blocks without anything new are counted, not named one by one, so a flat area takes a few bytes.
            # Where a scan refines, correction bits of many blocks stand together.
            counted = ac is not None and (ac.symbol != 0 or ac.has_runs)
            return _FEW if counted and approximation >> 4 == 0 else _MANY
        if progressive and approximation >> 4:
            return None  # a bit a block
        return self._zeros_with_dc(chosen, progressive, approximation & 15)

    def _zeros_with_dc(self, chosen: list[tuple[int, int]], progressive: bool, shift: int) -> int | None:
        """Zeros make every block empty but for a first coefficient that falls from block to block.

        That comes to an end where its range does; if it does not fall, any number of zeros is a flat area. If
        they stand for other coefficients too, no picture has many of such blocks.
        """
        bits, units = 0, math.inf
        for component, numbers in chosen:
            dc, ac = self.codes.get(numbers >> 4), self.codes.get(16 + (numbers & 15))
            blocks, quantiser = self.components.get(component, (1, 0))
            blocks = max(blocks, 1) if len(chosen) > 1 else 1
            if dc is None or (ac is None and not progressive):
                return None
            if ac is not None and not progressive and ac.symbol != 0:
                return _FEW
            bits += blocks * (dc.length + dc.symbol + (ac.length if ac and not progressive else 0))
            fall = ((1 << dc.symbol) - 1) << shift
            if fall:
                units = min(units, (_DC_RANGE / (fall * max(self.steps.get(quantiser, 1), 1)) + 1) / blocks)
        return None if units == math.inf else max(_FEW, math.ceil(units * bits / 8) + 1)


def _scans(data: bytes) -> Iterator[_Scan]:
    """Every scan up to the end marker."""
    tables = _Tables()
    at = 2
    while marker := _MARKER.search(data, at):
        kind, at = marker.group()[1], marker.end()
        if kind == _EOI:
            return
        if kind == _SOI:
            continue
        length = max(int.from_bytes(data[at : at + 2], "big"), 2)
        body, at = data[at + 2 : at + length], at + length
        if kind == _SOS:
            following = _MARKER.search(data, at)
            end = following.start() if following else len(data)
            yield _Scan(at, end, tables.zeros_in(body), body, tables.frame == _SOF2)
        else:
            tables.take(kind, body)


def _plain(data: bytes) -> bytes:
    """The file without descriptions, stray bytes between segments, and odd numbers that are not used."""
    parts = [data[:2]]
    components = frame = 0
    at = 2
    while marker := _MARKER.search(data, at):
        kind, start = marker.group()[1], marker.start()
        if kind == _EOI:
            parts.append(data[start : start + 2])
            break
        if kind == _SOI:
            at = start + 2
            continue
        length = max(int.from_bytes(data[start + 2 : start + 4], "big"), 2)
        segment, at = bytearray(data[start : start + 2 + length]), start + 2 + length
        if kind in _FRAMES:
            frame, components = kind, segment[9] if len(segment) > 9 else 0
        if kind == _SOS:
            if frame in (_SOF0, _SOF1) and len(segment) >= 7:
                segment[-3:] = b"\0\x3f\0"
            following = _MARKER.search(data, at)
            end = following.start() if following else len(data)
            parts += [bytes(segment), data[at:end]]
            at = end
        elif not _APP0 <= kind <= _APP15 and kind != _COM:
            parts.append(bytes(segment))
        elif kind == _APP0 and segment[4:9] == b"JFIF\0" and len(segment) > 10:
            segment[9:11] = b"\1\1"
            parts.append(bytes(segment))
        elif kind == _APP14 and segment[4:9] == b"Adobe" and len(segment) >= 16:
            parts.append(bytes(segment))
    return _with_known_transform(b"".join(parts), components)


def _with_known_transform(data: bytes, components: int) -> bytes:
    """Write the colour transform that decoders take for one they do not know."""
    at = data.find(b"\xff\xee\0\x0eAdobe", 0, data.find(b"\xff\xda"))
    known, taken = {3: ((0, 1), 1), 4: ((0, 2), 2)}.get(components, ((), 0))
    if at < 0 or components not in (3, 4) or data[at + 15] in known:
        return data
    return data[: at + 15] + bytes((taken,)) + data[at + 16 :]


def _is_padding(data: bytes) -> bool:
    return len(data) <= 2 or len(set(data)) == 1

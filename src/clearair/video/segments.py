"""The hidden folder of a run: its options, its percepts, and the finished segments.

Each file in it appears whole or not at all, so that a run can be killed at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

from clearair.errors import ExistsError, ImageError, OutputError
from clearair.files.journaled import locked
from clearair.percepts import Percepts
from clearair.placing import make_folder, write_atomically
from clearair.video.coding import Packet
from clearair.video.shots import Gathering, load_percepts, save_percepts

Loaded = TypeVar("Loaded")

_JOB, _PLAN, _LOCK, _LOOK = "job.json", "plan.json", "lock", "look.npz"
_REPLACES = "replaces"
"""File that is there when the run may replace an existing result, also after it was interrupted."""
_LONGEST_NAME = 255
"""Bytes of a file's name that usual file systems take."""
_BEGIN_ANEW = "is damaged; remove the folder and start over."
_MAGIC = b"clearair segment 1\n"


@dataclass(frozen=True)
class Plan:
    """The result of analysing all frames."""

    frames: int
    shots: tuple[int, ...]
    """Number of the first frame of each shot."""
    notes: tuple[str, ...]


class WorkFolder:
    """The folder beside a target in which its segments are kept until all are there."""

    def __init__(self, target: Path) -> None:
        name = f".{target.name}.clearair"
        if len(os.fsencode(name)) > _LONGEST_NAME:
            name = f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:32]}.clearair"
        self.path = target.with_name(name)

    @property
    def replaces(self) -> bool:
        """Whether the run in it was allowed to replace an existing result."""
        return self._is_begun() and (self.path / _REPLACES).exists()

    @contextmanager
    def entered(self, job: dict[str, Any], *, resume: bool, overwrite: bool) -> Iterator[None]:
        """Lock the folder for this job, or resume the run in it.

        Raises ExistsError for an unfinished run that is neither resumed nor overwritten, OutputError when its
        options differ, UsageError when it is still running.
        """
        make_folder(self.path)
        with locked(self.path / _LOCK, self.path):
            self._take(json.loads(json.dumps(job)), resume=resume, overwrite=overwrite)
            try:
                yield
            except ImageError:
                if not any(self.path.glob("segment-*")):
                    self.remove()  # the analysis found that the video cannot be restored
                raise
            finally:
                if not self._is_begun():
                    self.remove()  # nothing to resume

    def _is_begun(self) -> bool:
        """Whether the folder holds any expensive work."""
        return (self.path / _LOOK).exists() or any(
            path.name.startswith(("segment-", "shot-")) for path in self.path.glob("s*")
        )

    def _take(self, job: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        begun = self._read(_JOB) if self._is_begun() else None
        if begun is not None and resume:
            different = sorted(key for key in {*begun, *job} if begun.get(key) != job.get(key))
            if different:
                raise OutputError(
                    f"{self.path}: was started with another {', '.join(different)}; "
                    "overwrite=True starts over."
                )
            return
        if begun is not None and not overwrite:
            raise ExistsError(
                f"{self.path}: holds an unfinished run; resume=True continues it, overwrite=True starts over."
            )
        for path in self.path.iterdir():
            if path.name != _LOCK:
                path.unlink()
        self._write(_JOB, json.dumps(job).encode())
        if overwrite:
            self._write(_REPLACES, b"")

    @property
    def joined(self) -> Path:
        """Where the segments are joined."""
        return self.path / "joined.part"

    def plan(self) -> Plan | None:
        """The result of an earlier analysis; None if none was finished."""
        stored = self._read(_PLAN)
        if stored is None:
            return None
        try:
            return Plan(int(stored["frames"]), tuple(map(int, stored["shots"])), tuple(stored["notes"]))
        except (KeyError, TypeError, ValueError) as error:
            raise OutputError(f"{self.path / _PLAN}: {_BEGIN_ANEW}") from error

    def save_plan(self, plan: Plan) -> None:
        """Keep what was found."""
        self._write(_PLAN, json.dumps(vars(plan)).encode())

    def percepts(self, shot: int) -> Percepts:
        """The percepts of a shot, by its number. Raises OutputError."""
        return self._load(load_percepts, self._shot(shot))

    def has_shot(self, shot: int) -> bool:
        """Whether the analysis of a shot was finished."""
        return self._shot(shot).exists()

    def save_shot(self, shot: int, percepts: Percepts) -> None:
        """Keep what was perceived in a shot."""
        save_percepts(percepts, self._shot(shot))

    def gathered(self, shot: int) -> Gathering:
        """The percepts that an interrupted analysis saved for a shot. Raises OutputError."""
        if (self.path / _LOOK).exists():
            number, gathering = self._load(Gathering.load, self.path / _LOOK)
            if number == shot:
                return gathering
        return Gathering()

    def save_gathered(self, shot: int, gathering: Gathering) -> None:
        """Keep what was perceived of a shot so far."""
        gathering.save(self.path / _LOOK, shot)

    def has(self, number: int) -> bool:
        """Whether a segment is done."""
        return self._segment(number).exists()

    def save(self, number: int, packets: Sequence[Packet], head: bytes, changed: int) -> None:
        """Keep a segment and the number of its changed frames."""
        listed = [[len(each.data), each.time, each.lasts, int(each.is_key)] for each in packets]
        about = json.dumps({"packets": listed, "head": head.hex(), "changed": changed}).encode()
        data = [_MAGIC, about, b"\n", *(each.data for each in packets)]
        self._write(self._segment(number).name, b"".join(data))

    def changed(self, number: int) -> int:
        """How many frames of a segment were changed."""
        about, _ = self._open(number)
        return int(about["changed"])

    def head(self, number: int) -> bytes:
        """The encoder's head of a segment."""
        return bytes.fromhex(self._open(number)[0]["head"])

    def times(self, number: int) -> list[int]:
        """Times of presentation of a segment's packets, in the order of decoding."""
        return [each[1] for each in self._open(number)[0]["packets"]]

    def packets(self, number: int) -> list[Packet]:
        """A segment that was kept. Raises OutputError when it is damaged."""
        about, data = self._open(number, data=True)
        packets, at = [], 0
        for size, time, lasts, is_key in about["packets"]:
            packets.append(Packet(data[at : at + size], time, lasts, bool(is_key)))
            at += size
        if at != len(data):
            raise OutputError(f"{self._segment(number)}: is damaged; remove it and resume.")
        return packets

    def remove(self) -> None:
        """Remove the folder, which is no longer needed."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _load(self, load: Callable[[Path], Loaded], path: Path) -> Loaded:
        try:
            return load(path)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise OutputError(f"{path}: {_BEGIN_ANEW}") from error

    def _shot(self, number: int) -> Path:
        return self.path / f"shot-{number:06}.npz"

    def _segment(self, number: int) -> Path:
        return self.path / f"segment-{number:06}"

    def _open(self, number: int, *, data: bool = False) -> tuple[dict[str, Any], bytes]:
        path = self._segment(number)
        try:
            with path.open("rb") as file:
                about = json.loads(file.readline()) if file.readline() == _MAGIC else None
                if not isinstance(about, dict):
                    raise ValueError
                return about, file.read() if data else b""
        except (OSError, ValueError) as error:
            raise OutputError(f"{path}: is damaged; remove it and resume.") from error

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            stored = json.loads((self.path / name).read_bytes())
            if not isinstance(stored, dict):
                raise ValueError
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise OutputError(f"{self.path / name}: {_BEGIN_ANEW}") from error
        return stored

    def _write(self, name: str, data: bytes) -> None:
        write_atomically(self.path / name, data, overwrite=True)

"""Notes in folders that hold results, so that later runs do not take these for photographs.

A note is the hidden file `.clearair` in the folder itself. It is written only where results would be found
again: in an output folder below a folder that was searched, and beside photos whose results have a suffix of
their own. It can be deleted at any time.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)

USUAL_SUFFIX = ".restored"
"""Added to the names of results beside their inputs, unless another suffix is asked for."""
NOTE = ".clearair"
"""Name of the file that holds a note."""


@dataclass(frozen=True)
class Note:
    """What a folder's note says of the results in it."""

    all_results: bool = False
    """Every picture in the folder and below it is one."""
    suffixes: frozenset[str] = frozenset()
    """What was added to the names of results beside their inputs."""


def read_note(folder: Path) -> Note:
    """What a folder's note says; nothing where there is none, or it is damaged."""
    entries = _entries(folder)
    suffixes = {entry["suffix"] for entry in entries if isinstance(entry.get("suffix"), str)}
    return Note(any(entry.get("results") is True for entry in entries), frozenset(suffixes - {""}))


def note_results(folder: Path) -> None:
    """Note that all pictures in a folder are results."""
    _note(folder, {"results": True})


def note_suffix(folder: Path, suffix: str) -> None:
    """Note that names of results in a folder end with this suffix; the usual one needs no note."""
    if suffix != USUAL_SUFFIX:
        _note(folder, {"suffix": suffix})


def _note(folder: Path, entry: dict[str, Any]) -> None:
    if entry in _entries(folder):
        return
    try:
        with (folder / NOTE).open("a", encoding="ascii") as note:
            note.write(json.dumps(entry) + "\n")  # one write, so that runs at the same time do not mix lines
    except OSError as error:
        _log.debug("the place of results is not noted: %s", error)


def _entries(folder: Path) -> list[dict[str, Any]]:
    try:
        lines = (folder / NOTE).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []
    entries = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries

"""Notes in folders with results, so that later runs do not mistake these for photographs.

A note is the hidden file `.clearair` in the folder itself. It is written only where a search would find the
results: in an output folder below a searched folder, and beside photos whose results have a custom suffix. It
can be deleted at any time.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from clearair.errors import OutputError
from clearair.placing import write_atomically
from clearair.stores import Address, Place

_log = logging.getLogger(__name__)

USUAL_SUFFIX = ".restored"
"""Added to the names of results beside their inputs, unless another suffix is asked for."""
NOTE = ".clearair"
"""Name of the file that holds a note."""


@dataclass(frozen=True)
class Note:
    """The content of a folder's note."""

    all_results: bool = False
    """Every picture in the folder and below it is one."""
    suffixes: frozenset[str] = frozenset()
    """What was added to the names of results beside their inputs."""


def read_note(folder: Place) -> Note:
    """The note of a folder; empty if it is missing or damaged."""
    entries = _entries(folder)
    suffixes = {entry["suffix"] for entry in entries if isinstance(entry.get("suffix"), str)}
    return Note(any(entry.get("results") is True for entry in entries), frozenset(suffixes - {""}))


def note_results(folder: Place) -> None:
    """Note that all pictures in a folder are results."""
    _note(folder, {"results": True})


def note_suffix(folder: Place, suffix: str) -> None:
    """Note that names of results in a folder end with this suffix; the usual one needs no note."""
    if suffix != USUAL_SUFFIX:
        _note(folder, {"suffix": suffix})


def _note(folder: Place, entry: dict[str, Any]) -> None:
    earlier = _entries(folder)
    if entry in earlier:
        return
    line = json.dumps(entry) + "\n"
    try:
        if isinstance(folder, Address):
            lines = "".join(json.dumps(each) + "\n" for each in [*earlier, entry])
            write_atomically(folder / NOTE, lines.encode("ascii"), overwrite=True)
            return
        with (folder / NOTE).open("a", encoding="ascii") as note:
            note.write(line)  # one write, so that simultaneous runs do not mix lines
    except (OSError, OutputError) as error:
        _log.debug("the place of results cannot be recorded: %s", error)


def _entries(folder: Place) -> list[dict[str, Any]]:
    note = folder / NOTE
    try:
        data = note.read().data if isinstance(note, Address) else note.read_bytes()
        lines = data.decode("ascii").splitlines()
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

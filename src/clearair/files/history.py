"""Where earlier runs put their results, so that later ones do not take these for photographs.

One line of JSON for each output folder and each suffix, in the file `results` of `CLEARAIR_HOME` or of the
user's cache folder. It can be deleted at any time.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

USUAL_SUFFIX = ".restored"
"""Added to the names of results beside their inputs, unless another suffix is asked for."""


@dataclass(frozen=True)
class Earlier:
    """How results of earlier runs are recognised."""

    folders: frozenset[Path] = frozenset()
    """Real paths of output folders."""
    suffixes: frozenset[str] = frozenset({USUAL_SUFFIX})
    """What was added to the names of results beside their inputs."""


def home() -> Path:
    """The folder for what clearair keeps between runs; it need not exist."""
    chosen = os.environ.get("CLEARAIR_HOME")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        caches = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        caches = Path.home() / "Library" / "Caches"
    else:
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "clearair"


def earlier_results() -> Earlier:
    """What earlier runs on this machine left a note of; only the usual suffix where there is none."""
    folders, suffixes = set(), {USUAL_SUFFIX}
    for entry in _entries():
        if "folder" in entry:
            folders.add(Path(entry["folder"]))
        if entry.get("suffix"):
            suffixes.add(entry["suffix"])
    return Earlier(frozenset(folders), frozenset(suffixes))


def remember(out: Path | None, suffix: str) -> None:
    """Note that results lie in the folder `out`, or beside their inputs with `suffix`."""
    entry = {"suffix": suffix} if out is None else {"folder": os.path.realpath(out)}
    if entry == {"suffix": USUAL_SUFFIX} or entry in _entries():
        return
    try:
        file = _file()
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="ascii") as notes:
            notes.write(json.dumps(entry) + "\n")  # one write, so that runs at the same time do not mix lines
    except (OSError, RuntimeError) as error:
        _log.debug("the place of results is not remembered: %s", error)


def _file() -> Path:
    return home() / "results"


def _entries() -> list[dict[str, str]]:
    try:
        lines = _file().read_text(encoding="ascii").splitlines()
    except (OSError, RuntimeError, ValueError):  # no home at all is a RuntimeError
        return []
    entries = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and all(isinstance(value, str) for value in entry.values()):
            entries.append(entry)
    return entries

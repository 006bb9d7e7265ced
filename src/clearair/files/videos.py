"""Which files are videos, by their suffix, and where a restored one goes. Needs no PyAV."""

from __future__ import annotations

import os
from pathlib import Path

from clearair.errors import UsageError
from clearair.files.history import USUAL_SUFFIX
from clearair.stores import is_address

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""Suffixes of videos that are written, and what FFmpeg calls their formats."""

VIDEO_SUFFIXES = frozenset(
    {*CONTAINERS, ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m2t", ".m2ts", ".m2v"}
    | {".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".wmv"}
)
"""Suffixes of videos that are read."""

_LIKE_MP4 = (".3g2", ".3gp", ".f4v")
_SEPARATORS = (os.sep, os.altsep or os.sep)


def is_video(path: Path | str) -> bool:
    """Whether a path is named like a video and is not a folder."""
    path = Path(path)
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()


def refuse_store(out: Path | str | None) -> None:
    """Raise UsageError where a video would go to a store: as a path, it would be a folder named `s3:`."""
    if is_address(out):
        raise UsageError(
            f"{out}: videos cannot be written to a store; name a folder of this machine, and copy them."
        )


def video_target(
    source: Path, out: Path | str | None = None, *, suffix: str = USUAL_SUFFIX, alone: bool = True
) -> Path:
    """The file that a restored video becomes: beside it with `suffix`, in the folder `out`, or `out` itself.

    What cannot be written becomes a Matroska file, or MP4 where that is much the same. `alone` says that
    `out` may be a file.
    Raises UsageError when its format is not written, it is the target of several inputs, or it is in a store.
    """
    kept = source.suffix if source.suffix.lower() in CONTAINERS else ".mkv"
    ending = ".mp4" if source.suffix.lower() in _LIKE_MP4 else kept
    if out is None:
        return source.with_name(f"{source.stem}{suffix}{ending}")
    refuse_store(out)
    folder = Path(out)
    is_folder = folder.is_dir() or str(out).endswith(_SEPARATORS)
    if is_folder or not folder.suffix or folder.suffix[1:].isdecimal():
        return folder / f"{source.stem}{ending}"
    if not alone:
        if is_video(folder):
            raise UsageError(f"{out}: one file for several inputs; name a folder.")
        return folder / f"{source.stem}{ending}"
    if folder.suffix.lower() not in CONTAINERS:
        known = ", ".join(sorted(CONTAINERS))
        raise UsageError(
            f"{out}: not a format that videos are written in; use {known}, or {out}/ for a folder."
        )
    return folder

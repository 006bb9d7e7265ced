"""The plan of a batch: what is restored, where results go, and what is skipped."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clearair.errors import UsageError
from clearair.files.finding import Paths, Source, as_paths, find_images
from clearair.files.history import USUAL_SUFFIX
from clearair.files.outputs import Job, names_picture, plan_outputs, refuse_odd_suffix
from clearair.files.report import Report
from clearair.stores import Address, Place, is_address, place_of, resembles_address

_SEPARATORS = (os.sep, os.altsep or os.sep)


@dataclass(frozen=True)
class Plan:
    """Everything known about a batch before its first picture is read."""

    jobs: tuple[Job, ...]
    overwrite: bool = False
    """Replace outputs that exist; otherwise each of them is an error."""
    resume: bool = False
    """Skip outputs that exist."""
    report: Report | None = None
    remarks: tuple[str, ...] = ()
    """Skipped files, a line for each kind."""
    out: Place | None = None
    """The folder of the results; None where they lie beside their inputs, or one file was named."""
    suffix: str = ""
    """What is added to the names of results beside their inputs."""
    found_again: bool = False
    """Whether a later search of the same places would find `out`."""


def plan_batch(
    paths: Paths,
    out: Place | str | None = None,
    *,
    listed: Sequence[Place] = (),
    suffix: str = USUAL_SUFFIX,
    format: str | None = None,
    overwrite: bool = False,
    resume: bool = False,
    report: Path | str | None = None,
) -> Plan:
    """Find the pictures that files, folders and patterns name, and give each its output.

    `listed` are files that keep their relative path below `out`, as from a list of names. An output that
    exists is an error, with `overwrite` replaced, with `resume` skipped; so is `report`, which a resumed run
    updates. `out` that ends in a slash is a folder. Raises UsageError when there is nothing to do or the
    options contradict each other, OutputError when the report cannot be written.
    """
    if overwrite and resume:
        raise UsageError(
            "overwrite=True and resume=True contradict each other: redo what is there, or skip it?"
        )
    if is_address(report):
        raise UsageError(f"{report}: the report is a file on this machine, not an object in a store.")
    for place in (out, report):
        if place is not None and not isinstance(place, str | os.PathLike | Address):
            raise UsageError(f"A folder or a file is a str or a Path, not {type(place).__name__}.")
        if place == "":
            raise UsageError("A name for results is empty, as a shell's variable may be; `.` is this folder.")
    if not isinstance(suffix, str):
        raise UsageError(f"A suffix is a str, not {type(suffix).__name__}.")
    if resembles_address(out):
        raise UsageError(f"{out}: neither a folder nor an address of a store, such as s3://bucket/folder.")
    target = None if out is None else place_of(out)
    into_folder = isinstance(out, str) and out.endswith(_SEPARATORS)
    found = find_images(paths, suffix=suffix, out=target, listed=listed)
    if target is not None and not into_folder and _is_one_file(found.sources, as_paths(paths), listed):
        refuse_odd_suffix(target)
    jobs = plan_outputs(found, target, suffix=suffix, format=format, into_folder=into_folder)
    written = None if report is None else Report(Path(report), overwrite=overwrite, resume=resume)
    if written is not None:
        written.check(jobs, target)
    is_folder = target is not None and (into_folder or not names_picture(target))
    return Plan(
        tuple(jobs),
        overwrite=overwrite,
        resume=resume,
        report=written,
        remarks=found.remarks(),
        out=target if is_folder else None,
        suffix="" if target is not None else suffix,
        found_again=found.holds_out,
    )


def _is_one_file(sources: Sequence[Source], paths: Sequence[Place | str], listed: Sequence[Place]) -> bool:
    """Whether one picture was named itself, rather than found in a folder."""
    named = {place_of(path) for path in (*paths, *listed)}
    return len(sources) == 1 and sources[0].path in named

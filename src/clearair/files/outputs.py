"""Where results go, and the rules for every file that is written.

A file is never an input, never replaces an existing one without permission, and has a writable folder; all of
this is checked before the work begins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from clearair.errors import ExistsError, OutputError, UsageError
from clearair.files.finding import Finding, Source
from clearair.files.history import USUAL_SUFFIX
from clearair.image import (
    FORMATS,
    SUFFIXES,
    WRITABLE_SUFFIXES,
    format_of_suffix,
    output_format,
)
from clearair.image.formats import FOREIGN_SUFFIXES, HEAD_BYTES, sniff
from clearair.placing import exists
from clearair.stores import Address, Place

_ODD_SUFFIX = re.compile(r"\.[a-zA-Z][a-zA-Z0-9]{1,4}")
"""Matches the suffix of a file; names of folders end in numbers or words."""


@dataclass(frozen=True)
class Job:
    """One picture and the file its restoration goes to; the suffix of `target` is its format."""

    source: Place
    target: Place
    problem: str | None = None
    """Why it cannot be restored; None if it can be tried."""


def check_file(
    target: Place, *, inputs: Iterable[Place] = (), overwrite: bool = False, make_folder: bool = False
) -> None:
    """Refuse to write `target` before any work is done.

    Raises UsageError when it is one of `inputs`, by whatever path; OutputError when it exists and `overwrite`
    is false, is a folder, or has no folder that can be written to. `make_folder` says that a missing folder
    will be made.
    """
    if any(is_same_file(target, path) for path in inputs):
        raise UsageError(f"{target}: is an input itself, which is never overwritten. Choose another name.")
    if isinstance(target, Address):
        return  # the store decides whether it can be written
    if exists(target):
        if target.is_dir():
            raise OutputError(f"{target}: is a folder; name a file.")
        if not overwrite:
            raise ExistsError(
                f"{target}: exists already; choose another name, or replace it with overwrite=True."
            )
    folder = target.absolute().parent
    if not make_folder and not exists(folder):
        raise OutputError(f"{target}: cannot be written: its folder does not exist.")
    place = next(parent for parent in target.absolute().parents if exists(parent))
    if not place.is_dir():
        raise OutputError(f"{target}: cannot be written: {place} is a file, not a folder.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"{target}: cannot be written: no permission to write in {place}.")


def is_same_file(one: Place, other: Place) -> bool:
    """Whether two paths lead to one file, also by links of either kind."""
    if _identity(one) == _identity(other):
        return True
    if isinstance(one, Address) or isinstance(other, Address):
        return False
    with suppress(OSError):
        return one.samefile(other)
    return False


def _identity(place: Place) -> str:
    return str(place) if isinstance(place, Address) else os.path.realpath(place)


def plan_outputs(
    found: Finding | Sequence[Source],
    out: Place | None = None,
    *,
    suffix: str = USUAL_SUFFIX,
    format: str | None = None,
    into_folder: bool = False,
) -> list[Job]:
    """Give every picture its own output file.

    `photo.jpg` becomes `photo.restored.jpg` beside it, or `photo.jpg` at the same relative place below `out`;
    `out` with a picture's suffix is the file for a single picture, unless `into_folder`. `format` is a format
    or a suffix ("jpeg", "jpg"). If two pictures have the same output, the one that keeps its name gets it,
    else the first. The other job carries a problem, and so do jobs whose output is an input, and places that
    could not be searched. Raises UsageError when nothing is left to do.
    """
    sources, problems = (found.sources, found.problems) if isinstance(found, Finding) else (found, ())
    kind = None if format is None else format_named(format)
    if os.sep in suffix or (os.altsep and os.altsep in suffix) or "\0" in suffix:
        raise UsageError(f"suffix={suffix!r}: a suffix is part of a file name, it names no folder.")
    if out is not None and "\0" in str(out):
        raise UsageError(f"{str(out)!r}: a path cannot hold a NUL character.")
    if out is not None and names_picture(out) and not into_folder:
        jobs = [_single_job(sources, out, kind)]
    else:
        jobs = [Job(source.path, _target(source, out, suffix, kind)) for source in sources]
    jobs = _without_clashes(jobs)
    if jobs and all(job.problem for job in jobs):
        raise UsageError(str(jobs[0].problem))
    return [*jobs, *(Job(problem.path, problem.path, problem.message) for problem in problems)]


def format_named(name: str) -> str:
    """The format that a name or a suffix stands for. Raises UsageError when it cannot be written."""
    if not isinstance(name, str):
        raise UsageError(f"A format is a name such as png, not {type(name).__name__}.")
    lowered = name.lower().removeprefix(".")
    kind = lowered if lowered in FORMATS else SUFFIXES.get(f".{lowered}")
    if kind is None or not FORMATS[kind].writable:
        writable = ", ".join(each.name for each in FORMATS.values() if each.writable)
        raise UsageError(f"format={name}: not a format that can be written; choose one of {writable}.")
    return kind


def check_suffix(out: Place) -> None:
    """Raise UsageError when the suffix of `out` is not that of a format that can be written."""
    if out.suffix.lower() not in WRITABLE_SUFFIXES:
        raise UsageError(f"{out}: this format cannot be written; use {', '.join(sorted(WRITABLE_SUFFIXES))}.")


def check_single(out: Place, format: str | None) -> None:
    """Raise UsageError when `out`, for one picture, cannot be written or contradicts a format."""
    check_suffix(out)
    if format is not None and format_of_suffix(out) != format_named(format):
        raise UsageError(f"{out}: contradicts format={format}.")


def refuse_odd_suffix(out: Place) -> None:
    """Raise UsageError if `out`, for one picture, has the suffix of an unknown kind of file."""
    if _ODD_SUFFIX.fullmatch(out.suffix) and not names_picture(out) and not out.is_dir():
        known = ", ".join(sorted(WRITABLE_SUFFIXES))
        raise UsageError(
            f"{out}: {out.suffix} is not a format that can be written; use {known}, or {out}/ for a folder."
        )


def names_picture(path: Place) -> bool:
    """Whether `path` is meant as a picture, not as a folder; also one that cannot be written."""
    known = path.suffix.lower() in SUFFIXES or path.suffix.lower() in FOREIGN_SUFFIXES
    return known and not path.is_dir()


def _single_job(sources: Sequence[Source], out: Place, kind: str | None) -> Job:
    if len(sources) != 1:
        raise UsageError(f"{out}: one file for {len(sources)} pictures; name a folder.")
    check_single(out, kind)
    return Job(sources[0].path, out)


def _target(source: Source, out: Place | None, suffix: str, kind: str | None) -> Place:
    ending = _ending(source.path, kind)
    if out is not None:
        return out / source.relative.with_name(source.relative.stem + ending)
    return source.path.with_name(f"{source.path.stem}{suffix}{ending}")


def _ending(path: Place, kind: str | None) -> str:
    """Return the suffix of the output: the input's own, where that names the format to write."""
    own = format_of_suffix(path)
    kind = kind or output_format(own or _format_inside(path) or "png")
    return path.suffix if own == kind else FORMATS[kind].suffixes[0]


def _format_inside(path: Place) -> str | None:
    try:
        if isinstance(path, Address):
            return sniff(path.head(HEAD_BYTES))
        with path.open("rb") as file:
            return sniff(file.read(HEAD_BYTES))
    except OSError:
        return None  # reading it will say why


def _priority(job: Job) -> tuple[bool, bool]:
    suffix = job.source.suffix
    return suffix != job.target.suffix, suffix.lower() in FOREIGN_SUFFIXES


def _without_clashes(jobs: Sequence[Job]) -> list[Job]:
    """The same jobs; those whose output is an input or another job's output carry that as a problem."""
    inputs = {_identity(job.source) for job in jobs}
    owners: dict[str, Job] = {}
    # One that keeps its suffix has priority over one that is converted, and that over an unreadable one.
    for job in sorted(jobs, key=_priority):
        owners.setdefault(_identity(job.target), job)
    checked: list[Job] = []
    for job in jobs:
        target = _identity(job.target)
        problem = None
        if target in inputs:
            problem = f"{job.target}: is an input itself. Choose another folder or suffix for the results."
        elif owners[target] is not job:
            problem = (
                f"{job.source}: would become {job.target}, as would {owners[target].source}. "
                "Give it alone, with another folder or suffix."
            )
        checked.append(Job(job.source, job.target, problem))
    return checked

"""One picture from standard input, or to standard output."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearair.apps.cli.records import remark, tell_outcome
from clearair.errors import ImageError, UsageError

if TYPE_CHECKING:
    from clearair import Restorer
    from clearair.image import Quality
    from clearair.stores import Place

STREAM = "-"
"""Standard input as a PATH, standard output as OUT."""


def single_picture(paths: Sequence[str], listed: Sequence[Place]) -> Place:
    """The one picture that is named. Raises UsageError when there are several."""
    from clearair.files.finding import find_images

    found = find_images(paths, listed=listed)
    if len(found.sources) != 1:
        raise UsageError(f"-o -: standard output takes one picture, not {len(found.sources)}; name a folder.")
    return found.sources[0].path


def named_target(output: str, format: str | None, *, overwrite: bool) -> Place:
    """The file that the picture from standard input goes to, which has no name of its own.

    Raises UsageError for a folder or another format, ExistsError and OutputError where it cannot be written.
    """
    from clearair.files.outputs import check_file, check_single, names_picture, refuse_odd_suffix
    from clearair.stores import place_of

    target = place_of(output)
    refuse_odd_suffix(target)
    if not names_picture(target):
        raise UsageError(f"{output}: standard input has no name to keep; name a file, as in -o better.jpg")
    check_single(target, format)
    if _is_standard_input(target):
        raise UsageError(f"{target}: is an input itself, which is never overwritten. Choose another name.")
    check_file(target, overwrite=overwrite)
    return target


def _is_standard_input(target: Place) -> bool:
    """Whether a shell opened this file with <."""
    if sys.stdin is None or not isinstance(target, Path):
        return False
    try:
        return os.path.samestat(os.fstat(sys.stdin.fileno()), target.stat())
    except (OSError, ValueError):  # no such file, or a standard input that is none
        return False


def restore_stream(
    load: Callable[[], Restorer],
    source: Place | None,
    target: Place | None,
    *,
    format: str | None,
    overwrite: bool,
    strip_metadata: bool,
    quality: Quality | None,
    max_pixels: int,
    salvage: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Restore `source`, or standard input if it is None, to `target`, or to standard output if it is None.

    `options` are the options for the restorer. Raises UsageError for a stream that is closed or a terminal,
    ImageError for what cannot be read, OutputError for what cannot be written.
    """
    from clearair.files.outputs import format_named
    from clearair.image import format_of_suffix, output_format, read_photo, refuse_unfit

    kind = None if format is None else format_named(format)
    _check_streams(reads=source is None, writes=target is None)
    restorer = load()
    restorer.check_damage(options["damage"])
    given = _read_standard_input() if source is None else source
    photo = read_photo(given, max_pixels=max_pixels, salvage=salvage, check_size=restorer.check_size)
    named = None if target is None else format_of_suffix(target)
    refuse_unfit(photo, kind or named or output_format(photo.format), photo.name)
    result = restorer(photo, **options)
    how: dict[str, Any] = {"format": kind, "strip_metadata": strip_metadata, "quality": quality}
    if target is None:
        encoded = io.BytesIO()
        notes = result.save(encoded, **how)
        sys.stdout.buffer.write(encoded.getbuffer())
        sys.stdout.buffer.flush()  # without a reader this ends the run before any work is done
    else:
        notes = result.save(target, overwrite=overwrite, **how)
    if not quiet:
        remark(photo.name, notes)
        name = photo.name if target is None else f"{photo.name} -> {target}"
        tell_outcome(name, result.outcome, err=target is None)


def _check_streams(*, reads: bool, writes: bool) -> None:
    """Raise UsageError where a stream is closed or a terminal."""
    for name, needed, stream in (("input", reads, sys.stdin), ("output", writes, sys.stdout)):
        if needed and stream is None:
            raise UsageError(f"`-`: the standard {name} is closed.")
    if (reads and sys.stdin.isatty()) or (writes and sys.stdout.isatty()):
        raise UsageError("`-` reads and writes a picture: clearair restore - < photo.jpg > better.jpg")


def _read_standard_input() -> bytes:
    """All of it if it starts like a picture, else only the start: the stream may be endless."""
    from clearair.image.formats import HEAD_BYTES, sniff

    try:
        head = sys.stdin.buffer.read(HEAD_BYTES)
        return head + sys.stdin.buffer.read() if sniff(head) else head
    except OSError as error:
        raise ImageError(f"standard input: cannot be read: {error.strerror}.") from error

"""One picture to standard output, from standard input or a file."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
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


def restore_to_output(
    load: Callable[[], Restorer],
    source: Place | None,
    *,
    format: str | None,
    strip_metadata: bool,
    quality: Quality | None,
    max_pixels: int,
    salvage: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Restore a file, or standard input without one; `options` are the options for the restorer."""
    from clearair.files.outputs import format_named
    from clearair.image import output_format, read_photo, refuse_unfit

    kind = None if format is None else format_named(format)
    if sys.stdout is None or (source is None and sys.stdin is None):
        raise UsageError("`-` needs a standard input and a standard output; one of them is closed.")
    if sys.stdout.isatty() or (source is None and sys.stdin.isatty()):
        raise UsageError("`-` reads and writes a picture: clearair restore - < photo.jpg > better.jpg")
    restorer = load()
    restorer.check_damage(options["damage"])
    given = _read_standard_input() if source is None else source
    photo = read_photo(given, max_pixels=max_pixels, salvage=salvage, check_size=restorer.check_size)
    refuse_unfit(photo, kind or output_format(photo.format), photo.name)
    result = restorer(photo, **options)
    encoded = io.BytesIO()
    notes = result.save(encoded, format=kind, strip_metadata=strip_metadata, quality=quality)
    sys.stdout.buffer.write(encoded.getbuffer())
    sys.stdout.buffer.flush()  # without a reader this ends the run before any work is done
    if not quiet:
        remark(photo.name, notes)
        tell_outcome(photo.name, result.outcome, err=True)


def _read_standard_input() -> bytes:
    """All of it if it starts like a picture, else only the start: the stream may be endless."""
    from clearair.image.formats import HEAD_BYTES, sniff

    try:
        head = sys.stdin.buffer.read(HEAD_BYTES)
        return head + sys.stdin.buffer.read() if sniff(head) else head
    except OSError as error:
        raise ImageError(f"standard input: cannot be read: {error.strerror}.") from error

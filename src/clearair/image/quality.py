"""The quality of files that are coded with loss."""

from __future__ import annotations

from collections.abc import Mapping

from clearair.errors import UsageError
from clearair.image.photo import Photo

QUALITY = {"jpeg": 95, "webp": 98, "avif": 90}
"""Default quality of the lossy formats, 1 to 100: a second compression must not show."""
LEAST_JPEG_QUALITY = 90
"""A JPEG is written with its own quality where that can be told, but not with less than this."""

Quality = int | Mapping[str, int]
"""Of files that are coded with loss, 1 to 100: one for all, or by format, such as {"jpeg": 85}."""


def check_quality(quality: Quality | None) -> None:
    """Raise UsageError for a quality that is not a whole number from 1 to 100, or of no lossy format."""
    by_format = quality if isinstance(quality, Mapping) else {"": quality}
    for kind, value in by_format.items():
        if kind and kind not in QUALITY:
            raise UsageError(f"There is no quality of {kind!r} files, only of {', '.join(QUALITY)}.")
        whole = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100
        if value is not None and not whole:
            raise UsageError(f"The quality is a whole number from 1 to 100, got {value!r}.")


def quality_for(photo: Photo, kind: str, quality: Quality | None) -> int:
    """The quality to write `photo` with: as asked for, else that of the source, else the default.

    0 for a format that has none. Raises UsageError as `check_quality` does.
    """
    check_quality(quality)
    asked = quality.get(kind) if isinstance(quality, Mapping) else quality
    if asked is None and kind == "jpeg" and photo.quality:
        return max(photo.quality, LEAST_JPEG_QUALITY)
    return asked or QUALITY.get(kind, 0)

"""Limits on the size of pictures, in bytes and pixels: larger ones are refused before decoding."""

from __future__ import annotations

from collections.abc import Callable

from clearair.errors import ImageError, UsageError

DEFAULT_MAX_PIXELS = 300_000_000
"""Larger pictures are refused before they are decoded: no camera of today makes 300 megapixels."""
COPIES = 3
"""Copies of a picture in memory while it is decoded: by its codec, and when it is rotated."""
BYTES_A_PIXEL = 16  # RGBA float, the most that is read
_SPARE_BYTES = 64 << 20  # metadata of small pictures

CheckSize = Callable[[int, int, int], None]
"""Receives width, height and bytes per pixel of a picture before it is decoded; raises to refuse it."""


def check_limit(max_pixels: int) -> None:
    """Raise UsageError for a limit that is not a number of pixels."""
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int) or max_pixels < 1:
        raise UsageError(f"max_pixels is a number of pixels of at least 1, got {max_pixels!r}.")


def refuse_long(size: int, name: str, max_pixels: int) -> None:
    """Refuse a file with more bytes than a picture of the largest size needs. Raises ImageError."""
    if size > max_pixels * BYTES_A_PIXEL + _SPARE_BYTES:
        raise ImageError(
            f"{name}: {size / 1e9:.1f} GB are more than a picture of {max_pixels:,} pixels can take; "
            "raise the limit with max_pixels=N."
        )


def refuse_large(width: int, height: int, name: str, max_pixels: int) -> None:
    """Refuse a picture of more pixels than the limit. Raises ImageError."""
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: {width} x {height} px are more than the limit of {max_pixels:,} pixels; "
            "raise it with max_pixels=N."
        )

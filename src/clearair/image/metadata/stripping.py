"""Files without their metadata whose pixels stay as they are coded."""

from __future__ import annotations

from collections.abc import Callable

from clearair.image.metadata import jpeg, png
from clearair.image.metadata.kept import Metadata

_STRIPPED: dict[str, Callable[[bytes, Metadata], bytes | None]] = {"jpeg": jpeg.stripped, "png": png.stripped}


def stripped(data: bytes, kind: str, metadata: Metadata) -> bytes | None:
    """Return the file `data` with nothing but its pixels, colours, resolution and orientation.

    `metadata` is what was read from it. None where that takes another encoding: in other formats than JPEG
    and PNG, for an animation, and where the structure of the file is not that of its format.
    """
    strip = _STRIPPED.get(kind)
    return strip(data, metadata) if strip else None

"""Names of files from a list, as `--files-from` takes them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from clearair.errors import UsageError

if TYPE_CHECKING:
    from clearair.stores import Place


def read_names(name: str | None, null: bool) -> list[Place]:
    """The paths in a file, or on standard input for `-`."""
    if name is None:
        if null:
            raise UsageError("-0 says how the names of --files-from are separated; --files-from is missing.")
        return []
    from clearair.files.finding import read_list

    if name == "-" and sys.stdin is None:
        raise UsageError("--files-from -: standard input is closed.")
    try:
        data = sys.stdin.buffer.read() if name == "-" else _read(name)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"--files-from {name}: cannot be read: {why}.") from error
    try:
        listed = read_list(data, null=null)
    except UsageError as error:
        raise UsageError(f"--files-from {name}: {error}") from error
    if not listed:
        raise UsageError(f"--files-from {name}: names no files.")
    return listed


def _read(name: str) -> bytes:
    from clearair.stores import Address, place_of

    place = place_of(name)
    return place.read().data if isinstance(place, Address) else place.read_bytes()

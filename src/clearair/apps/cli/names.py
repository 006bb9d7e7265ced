"""Names of files from a list, as `--files-from` takes them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clearair.errors import UsageError

if TYPE_CHECKING:
    from clearair.stores import Place


def read_names(name: str | None, null: bool) -> list[Place]:
    """The paths in a file, or on standard input for `-`."""
    if name is None:
        if null:
            raise UsageError("-0 says how the names of --files-from are parted, which is missing.")
        return []
    from clearair.files.finding import read_list

    if name == "-" and sys.stdin is None:
        raise UsageError("--files-from -: standard input is closed.")
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"--files-from {name}: cannot be read: {error}.") from error
    try:
        listed = read_list(data, null=null)
    except UsageError as error:
        raise UsageError(f"--files-from {name}: {error}") from error
    if not listed:
        raise UsageError(f"--files-from {name}: names no files.")
    return listed

"""The metadata and content of an object, in one form for all stores."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

_VERSIONS = ("ETag", "etag", "generation", "VersionId")
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True)
class Facts:
    """The metadata of an object, known without reading it."""

    size: int
    mark: int
    """Changes whenever the object changes: made of its ETag, version and time."""
    modified: float | None
    """Seconds since the epoch."""

    @property
    def stat(self) -> os.stat_result | None:
        """As those of a file; None where the store knows no time."""
        if self.modified is None:
            return None
        times = dict.fromkeys(("st_atime_ns", "st_mtime_ns"), int(self.modified * 1e9))
        return os.stat_result((0o666, 0, 0, 1, 0, 0, self.size, *(3 * [int(self.modified)])), times)


@dataclass(frozen=True)
class Content:
    """An object as it was at one moment."""

    name: str
    """Its address."""
    data: bytes
    facts: Facts


def facts_of(info: dict[str, Any]) -> Facts:
    """The metadata from fsspec's description; each file system has its own field names."""
    import hashlib

    told = [str(info[name]) for name in (*_VERSIONS, *_TIMES) if info.get(name) is not None]
    mark = int.from_bytes(hashlib.blake2b("\n".join(told).encode(), digest_size=7).digest(), "big")
    modified = next((info[name] for name in _TIMES if hasattr(info.get(name), "timestamp")), None)
    return Facts(int(info.get("size") or 0), mark, None if modified is None else modified.timestamp())

"""What a store says of an object and what it gives, in one form for all stores."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

_VERSIONS = ("ETag", "etag", "generation", "VersionId")
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")


@dataclass(frozen=True)
class Facts:
    """What a store says of an object without giving it."""

    size: int
    mark: int
    """Another one when the object is another one: made of its ETag, version and time."""
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
    """Of what fsspec says of an object; each of its file systems has names of its own."""
    import hashlib

    told = [str(info[name]) for name in (*_VERSIONS, *_TIMES) if info.get(name) is not None]
    mark = int.from_bytes(hashlib.blake2b("\n".join(told).encode(), digest_size=7).digest(), "big")
    modified = next((info[name] for name in _TIMES if hasattr(info.get(name), "timestamp")), None)
    return Facts(int(info.get("size") or 0), mark, None if modified is None else modified.timestamp())

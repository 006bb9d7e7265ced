"""Addresses of objects, taken apart and joined like paths, without asking a store."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath
from typing import Self

SECRETS = re.compile(
    r"(?i)(\b[\w-]*(?:sig|signature|token|secret|password|credential|key|upload_id)=)[^\s&\"']+"
)
"""Matches credentials in an address; the group is the part that may be shown."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_RESEMBLES = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_NO_STORE = ("file", "local", "http", "https")
"""Schemes that are refused as inputs: files are given by path, and web pages are not stores."""


def is_address(said: object) -> bool:
    """Whether a name is that of an object in a store."""
    match = _SCHEME.match(said) if isinstance(said, str) else None
    return match is not None and match[1].lower() not in _NO_STORE


def resembles_address(said: object) -> bool:
    """Whether a name is an address of no store, such as a web page, or one of a store that lacks a slash."""
    return isinstance(said, str) and not is_address(said) and _RESEMBLES.match(said) is not None


@dataclass(frozen=True, order=True)
class PureAddress:
    """An address by its text alone, as a PurePath is a path by its text alone."""

    url: str
    """Without a slash at its end."""

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, other: str | PurePath) -> Self:
        return type(self)(f"{self.url}/{other}")

    @property
    def scheme(self) -> str:
        """Such as "s3"."""
        return self.url.partition("://")[0]

    @property
    def name(self) -> str:
        """The part after the last slash; empty for a bucket."""
        return "" if self._is_bucket else self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """Such as ".jpg"."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Self:
        """The parent; that of a bucket is the bucket itself."""
        return self if self._is_bucket else type(self)(self.url.rpartition("/")[0])

    @property
    def parents(self) -> tuple[Self, ...]:
        """All parents, nearest first."""
        found = []
        here = self
        while here.parent != here:
            here = here.parent
            found.append(here)
        return tuple(found)

    @property
    def key(self) -> PurePosixPath:
        """Its name in its bucket."""
        return PurePosixPath(self.url.partition("://")[2].partition("/")[2])

    @property
    def fixed(self) -> Self:
        """The part before the first pattern."""
        places = (self, *self.parents)
        return next((place for place in places if not glob.has_magic(place.url)), places[-1])

    def with_name(self, name: str) -> Self:
        """The sibling with this name."""
        return self.parent / name

    @property
    def _is_bucket(self) -> bool:
        return "/" not in self.url.partition("://")[2]

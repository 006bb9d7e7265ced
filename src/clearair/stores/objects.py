"""Objects in stores, which are read, written, listed and deleted like files."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clearair.stores.addresses import PureAddress
from clearair.stores.facts import Content, Facts, facts_of
from clearair.stores.failures import NO_SUCH_BUCKET, as_system_error, is_taken, is_unable
from clearair.stores.filesystems import PACKAGES, file_system
from clearair.stores.waiting import ask

_ASKS_FOR_VERSION = "?versionId="
"""Text at which s3fs truncates a name."""
_HAS_PROC = Path("/proc/self/fd").is_dir()


class Address(PureAddress):
    """An object in a store, or a prefix of several, as a path is a file or a folder.

    It has the path methods that clearair uses, so most of the code need not distinguish the two.
    """

    def is_dir(self) -> bool:
        """False: a store has no folders, and objects can be created below any prefix."""
        return False

    def exists(self) -> bool:
        """Whether there is such an object. Raises FileNotFoundError where the store has no such bucket."""
        try:
            with self._errors() as system:
                # Read one byte: asking for metadata also searches for a folder if there is no object.
                ask(system, "cat_file", self.url, start=0, end=1)
        except FileNotFoundError as error:
            if error.strerror == NO_SUCH_BUCKET:
                raise
            return False
        except PermissionError:
            raise
        except OSError as error:
            if "range" not in str(error.strerror).lower():
                raise
            return True  # it is empty, so it has no such byte
        return True

    def facts(self) -> Facts:
        """Size and mark. Raises OSError."""
        with self._errors() as system:
            info = ask(system, "info", self.url)
        if info.get("type") == "directory":
            raise IsADirectoryError(errno.EISDIR, "a folder, not an object")
        return facts_of(info)

    def read(self, facts: Facts | None = None) -> Content:
        """The whole object. Raises OSError, also when it is replaced meanwhile."""
        facts = facts or self.facts()
        if not facts.size:
            return Content(self.url, b"", facts)
        with self._errors() as system:
            data: bytes = ask(system, "cat_file", self.url, start=0)
        if len(data) != facts.size:
            raise OSError(errno.EIO, "was changed while it was read; restore it again")
        return Content(self.url, data, facts)

    def head(self, size: int) -> bytes:
        """Its first bytes. Raises OSError."""
        with self._errors() as system:
            data: bytes = system.cat_file(self.url, start=0, end=size)
        return data

    def write(self, part: Path, *, overwrite: bool) -> None:
        """Write it from a complete file: it appears whole or not at all.

        Raises FileExistsError where it is there and `overwrite` is false, also when it appeared meanwhile if
        the store can tell, and OSError.
        """
        with self._errors(NO_SUCH_BUCKET) as system:
            headers = self._headers()
            if overwrite:
                system.put_file(str(part), self.url, **headers)
                return
            try:
                system.put_file(str(part), self.url, mode="create", **headers)
            except Exception as error:
                if is_taken(error):
                    # An object written by a first try whose answer was lost is our own.
                    if system.cat_file(self.url, start=0) != part.read_bytes():
                        raise FileExistsError from error
                elif not is_unable(error):
                    raise
                elif self.exists():  # as near as this store gets
                    raise FileExistsError from error
                else:
                    system.put_file(str(part), self.url, **headers)

    def _headers(self) -> dict[str, Any]:
        """Its content type, as the argument that the library of the store expects."""
        import mimetypes

        kind = mimetypes.guess_type(self.name)[0]
        said: dict[str, dict[str, Any]] = {
            "s3fs": {"ContentType": kind},
            "gcsfs": {"content_type": kind},
            "adlfs": {"content_settings": {"content_type": kind}},
        }
        return said.get(PACKAGES.get(self.scheme, ""), {}) if kind else {}

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete it. Raises OSError."""
        try:
            with self._errors() as system:
                system.rm_file(self.url)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def below(self) -> list[Address]:
        """All objects below this prefix, or itself if it is an object, sorted. Raises OSError."""
        with self._errors(NO_SUCH_BUCKET) as system:
            return self._named(system, system.find(self.url))

    def matches(self) -> list[Address]:
        """All objects that match it as a pattern, sorted. Raises OSError."""
        with self._errors(NO_SUCH_BUCKET) as system:
            found = system.glob(self.url, detail=True)
            files = [name for name, info in found.items() if info["type"] == "file"]
            return self.fixed._named(system, files)

    def _named(self, system: Any, names: list[str]) -> list[Address]:
        """The objects below it that fsspec calls by these names."""
        cut = len(system._strip_protocol(self.url))
        return [Address(self.url + name[cut:]) for name in sorted(names)]

    @contextmanager
    def _errors(self, missing: str = "no such object") -> Iterator[Any]:
        """The file system of fsspec, whose errors become errors of the system.

        `missing` is the message for something not found, unless the store says more.
        """
        system = file_system(self.scheme)
        if _ASKS_FOR_VERSION in self.url and PACKAGES.get(self.scheme) == "s3fs":
            raise OSError(
                errno.EINVAL, f"s3fs takes what follows {_ASKS_FOR_VERSION} in a name for a version"
            )
        try:
            yield system
        except MemoryError:
            raise
        except Exception as error:
            raise as_system_error(error, missing) from error


@contextmanager
def unnamed_file() -> Iterator[Path]:
    """A temporary file for an upload; unnamed where the system supports it, so nothing is left behind."""
    import tempfile  # takes longer than all other imports here

    with tempfile.NamedTemporaryFile() if not _HAS_PROC else tempfile.TemporaryFile() as file:
        yield Path(f"/proc/self/fd/{file.fileno()}") if _HAS_PROC else Path(str(file.name))

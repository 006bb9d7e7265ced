"""Objects in stores, such as s3://bucket/photos/a.jpg, by what fsspec knows of them.

fsspec is loaded when the first object is looked at. Every error is an OSError whose `strerror` is one line
that names no credentials.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from clearair.errors import MissingExtraError, UsageError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_NO_STORE = ("file", "local", "http", "https")
"""Addresses that are refused where files are read: a file has a path, and a page is not a store."""
_SECRETS = re.compile(
    r"(?i)(\b[\w-]*(?:sig|signature|token|secret|password|credential|key|upload_id)=)[^\s&\"']+"
)
_VERSIONS = ("ETag", "etag", "generation", "VersionId")
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
_PACKAGES.update(dict.fromkeys(("az", "abfs", "abfss"), "adlfs"))
"""What fsspec needs for each kind of address."""
_ASKS_FOR_VERSION = "?versionId="
"""What s3fs cuts off a name, with all behind it."""
_LONGEST = 200
_PATIENCE = 0.2
"""Seconds after which a thread that waits looks whether it is to stop."""
_NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "DefaultCredentialsError",
    "ClientAuthenticationError",
)
_UNREACHABLE = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ClientConnectorError",
    "ConnectionError",
    "ServiceRequestError",
)
_NO_BUCKET = re.compile(r"(?i)bucket does not exist|no ?such ?(bucket|container)")
_QUESTION = re.compile(r"\?[^\s\"']*")
"""What an address asks for, which is long."""
_NO_SUCH_BUCKET = "there is no such bucket"
_FORBIDDEN = re.compile(r"Forbidden: \S+\s*")
"""How gcsfs begins what it says of a refusal, with a long address."""


@dataclass(frozen=True)
class Content:
    """An object as it was at one moment."""

    name: str
    """Its address."""
    data: bytes
    facts: Facts


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


@dataclass(frozen=True, order=True)
class Address:
    """An object in a store, or what begins the names of several, as a path is a file or a folder.

    It offers what is used of paths, so that most of the code need not ask which of the two it has.
    """

    url: str
    """Without a slash at its end."""

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, other: str | PurePath) -> Address:
        return Address(f"{self.url}/{other}")

    @property
    def scheme(self) -> str:
        """Such as "s3"."""
        return self.url.partition("://")[0]

    @property
    def name(self) -> str:
        """What stands behind the last slash; empty for a bucket."""
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
    def parent(self) -> Address:
        """What it lies below; that of a bucket is the bucket itself."""
        return self if self._is_bucket else Address(self.url.rpartition("/")[0])

    @property
    def parents(self) -> tuple[Address, ...]:
        """All that it lies below, nearest first."""
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

    def with_name(self, name: str) -> Address:
        """Its neighbour of this name."""
        return self.parent / name

    def is_dir(self) -> bool:
        """False: a store has no folders, and what looks like one takes an object of any name beside it."""
        return False

    @property
    def _is_bucket(self) -> bool:
        return "/" not in self.url.partition("://")[2]

    def exists(self) -> bool:
        """Whether there is such an object. Raises FileNotFoundError where the store has no such bucket."""
        try:
            with self._errors() as system:
                # A byte of it: to ask for its facts costs a search for a folder where there is no object.
                _ask(system, "cat_file", self.url, start=0, end=1)
        except FileNotFoundError as error:
            if error.strerror == _NO_SUCH_BUCKET:
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
            info = _ask(system, "info", self.url)
        if info.get("type") == "directory":
            raise IsADirectoryError(errno.EISDIR, "a folder, not an object")
        return _facts(info)

    def read(self, facts: Facts | None = None) -> Content:
        """The whole object. Raises OSError, also when it is replaced meanwhile."""
        facts = facts or self.facts()
        if not facts.size:
            return Content(self.url, b"", facts)
        with self._errors() as system:
            data: bytes = _ask(system, "cat_file", self.url, start=0)
        if len(data) != facts.size:
            raise OSError(errno.EIO, "was changed while it was read; restore it again")
        return Content(self.url, data, facts)

    def head(self, size: int) -> bytes:
        """Its first bytes. Raises OSError."""
        with self._errors() as system:
            data: bytes = system.cat_file(self.url, start=0, end=size)
        return data

    def write(self, part: Path, *, overwrite: bool) -> None:
        """Make it of a complete file: it appears whole or not at all.

        Raises FileExistsError where it is there and `overwrite` is false, also when it appeared meanwhile if
        the store can tell, and OSError.
        """
        with self._errors(_NO_SUCH_BUCKET) as system:
            headers = self._headers()
            if overwrite:
                system.put_file(str(part), self.url, **headers)
                return
            try:
                system.put_file(str(part), self.url, mode="create", **headers)
            except Exception as error:
                if _is_taken(error):
                    # What a first try has written, though nobody heard of it, is no stranger's.
                    if system.cat_file(self.url, start=0) != part.read_bytes():
                        raise FileExistsError from error
                elif not _is_unable(error):
                    raise
                elif self.exists():  # as near as this store gets
                    raise FileExistsError from error
                else:
                    system.put_file(str(part), self.url, **headers)

    def _headers(self) -> dict[str, Any]:
        """What is said of it to those who fetch it; each library takes it in words of its own."""
        import mimetypes

        kind = mimetypes.guess_type(self.name)[0]
        said: dict[str, dict[str, Any]] = {
            "s3fs": {"ContentType": kind},
            "gcsfs": {"content_type": kind},
            "adlfs": {"content_settings": {"content_type": kind}},
        }
        return said.get(_PACKAGES.get(self.scheme, ""), {}) if kind else {}

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete it. Raises OSError."""
        try:
            with self._errors() as system:
                system.rm_file(self.url)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def below(self) -> list[Address]:
        """All objects whose names go on behind it, or itself if it is one, sorted. Raises OSError."""
        with self._errors(_NO_SUCH_BUCKET) as system:
            return self._named(system, system.find(self.url))

    def matches(self) -> list[Address]:
        """All objects that it names as a pattern, sorted. Raises OSError."""
        with self._errors(_NO_SUCH_BUCKET) as system:
            found = system.glob(self.url, detail=True)
            files = [name for name, info in found.items() if info["type"] == "file"]
            return self.fixed._named(system, files)

    @property
    def fixed(self) -> Address:
        """What stands before the first part of it that is a pattern."""
        places = (self, *self.parents)
        return next((place for place in places if not glob.has_magic(place.url)), places[-1])

    def _named(self, system: Any, names: list[str]) -> list[Address]:
        """The objects below it that fsspec calls by these names."""
        cut = len(system._strip_protocol(self.url))
        return [Address(self.url + name[cut:]) for name in sorted(names)]

    @contextmanager
    def _errors(self, missing: str = "no such object") -> Iterator[Any]:
        """The file system of fsspec, whose errors become errors of the system.

        `missing` is what it means that something is not found, unless the store says more.
        """
        system = _system(self.scheme)
        if _ASKS_FOR_VERSION in self.url and _PACKAGES.get(self.scheme) == "s3fs":
            raise OSError(
                errno.EINVAL, f"s3fs takes what follows {_ASKS_FOR_VERSION} in a name for a version"
            )
        try:
            yield system
        except MemoryError:
            raise
        except Exception as error:
            raise _as_system_error(error, missing) from error


Place = Path | Address
"""A file or an object."""


def place_of(said: str | PurePath | Address) -> Place:
    """The file or the object that is named.

    Raises UsageError for an address that holds credentials, which would be printed and kept.
    """
    if isinstance(said, Address):
        return said
    if not isinstance(said, str) or not is_address(said):
        return Path(said)
    scheme, _, rest = said.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if (at and ":" in user) or _SECRETS.search(rest.partition("?")[2]):
        raise UsageError(
            f"{scheme}://...: credentials do not belong into an address, which is printed and kept; give "
            "them by the environment, or by a file that the store's library reads."
        )
    if not rest.strip("/") or (scheme in _PACKAGES and rest.startswith("/")):
        raise UsageError(f"{said}: names no bucket.")
    return Address(said.rstrip("/"))


def require(places: Iterable[Place]) -> None:
    """Raise MissingExtraError or UsageError where a store among these is of a kind that cannot be used."""
    for scheme in {place.scheme for place in places if isinstance(place, Address)}:
        _system(scheme)


def absolute(place: Place) -> Place:
    """The same from whatever folder it is looked at."""
    return place if isinstance(place, Address) else Path(os.path.abspath(place))  # noqa: PTH100


def is_address(said: object) -> bool:
    """Whether a name is that of an object in a store."""
    match = _SCHEME.match(said) if isinstance(said, str) else None
    return match is not None and match[1].lower() not in _NO_STORE


@contextmanager
def unnamed_file() -> Iterator[Path]:
    """A file for what becomes an object; where the system can, it has no name and nothing is left of it."""
    import tempfile  # takes longer than all the rest here

    with tempfile.NamedTemporaryFile() if not _HAS_PROC else tempfile.TemporaryFile() as file:
        yield Path(f"/proc/self/fd/{file.fileno()}") if _HAS_PROC else Path(str(file.name))


_HAS_PROC = Path("/proc/self/fd").is_dir()


_waiting = threading.local()


@contextmanager
def until(stop: threading.Event) -> Iterator[None]:
    """Let this thread wait for a store only until `stop` is set: it may never answer. Writes are finished."""
    _waiting.stop = stop
    try:
        yield
    finally:
        _waiting.stop = None


def _ask(system: Any, method: str, *values: Any, **options: Any) -> Any:
    """What a file system of fsspec answers. Raises InterruptedError when nobody waits for it any more."""
    stop: threading.Event | None = getattr(_waiting, "stop", None)
    if stop is None or not getattr(system, "async_impl", False):
        return getattr(system, method)(*values, **options)
    import asyncio

    work = asyncio.run_coroutine_threadsafe(getattr(system, f"_{method}")(*values, **options), system.loop)
    while True:
        try:
            return work.result(_PATIENCE)
        except TimeoutError:
            if work.done():
                raise
            if stop.is_set():
                work.cancel()
                raise InterruptedError(errno.EINTR, "given up") from None


@cache
def _system(scheme: str) -> Any:
    """What fsspec uses for addresses of this kind."""
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(f"{scheme}:// needs fsspec: pip install 'clearair[stores]'") from error
    try:
        kind = fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise MissingExtraError(f"{scheme}://: {_package_for(scheme, error)}") from error
    except ValueError as error:
        raise UsageError(f"{scheme}://: no kind of store that fsspec knows.") from error
    _silence()
    try:
        return kind(use_listings_cache=False, skip_instance_cache=True)
    except Exception as error:  # whatever the library of a store lacks: an account, a host
        raise UsageError(f"{scheme}://: cannot be used: {_one_line(error)}.") from error


def _silence() -> None:
    """Let only who asked for it see what the libraries log.

    Without any handler, Python prints warnings and tracebacks of them; the errors say what matters.
    """
    import logging

    for name in ("fsspec", "s3fs", "botocore", "gcsfs", "google", "adlfs", "azure"):
        logging.getLogger(name).addHandler(logging.NullHandler())


def _package_for(scheme: str, error: ImportError) -> str:
    named = _PACKAGES.get(scheme)
    if named is None:
        return _one_line(error)
    wanted = "'clearair[stores]'" if named == "s3fs" else named
    return f"needs {named}: pip install {wanted}"


def _facts(info: dict[str, Any]) -> Facts:
    """Of what fsspec says of an object; each of its file systems has names of its own."""
    import hashlib

    told = [str(info[name]) for name in (*_VERSIONS, *_TIMES) if info.get(name) is not None]
    mark = int.from_bytes(hashlib.blake2b("\n".join(told).encode(), digest_size=7).digest(), "big")
    modified = next((info[name] for name in _TIMES if hasattr(info.get(name), "timestamp")), None)
    return Facts(int(info.get("size") or 0), mark, None if modified is None else modified.timestamp())


def _as_system_error(error: Exception, missing: str) -> Exception:
    """The same as an OSError with one line; what a user can put right by installing something stays."""
    if isinstance(error, MissingExtraError | UsageError):
        return error
    if isinstance(error, FileNotFoundError):
        bucket = _NO_BUCKET.search(str(error))
        return FileNotFoundError(errno.ENOENT, _NO_SUCH_BUCKET if bucket else missing)
    if isinstance(error, FileExistsError):
        return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    kinds = {kind.__name__ for kind in type(error).__mro__}
    said = _one_line(error)
    status = _status(error)
    if isinstance(error, PermissionError) or status in (401, 403):
        return PermissionError(errno.EACCES, f"the store refuses access ({said})")
    if kinds.intersection(_NO_CREDENTIALS):
        return PermissionError(errno.EACCES, "no credentials for the store were found")
    if status == 416:
        return OSError(errno.EIO, "there is no such range of bytes")
    if kinds.intersection(_UNREACHABLE):
        told = _one_line(Exception(str(error)))  # its strerror names no host
        return OSError(errno.EHOSTUNREACH, f"the store cannot be reached ({_QUESTION.sub('', told)})")
    if any("Timeout" in kind for kind in kinds):
        return TimeoutError(errno.ETIMEDOUT, "the store did not answer in time")
    number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
    return OSError(number, said)


def _status(error: Exception) -> int | None:
    """The status that a store answered with, where its library tells."""
    told = (str(getattr(error, name, None)) for name in ("code", "status", "status_code"))
    known = next((int(status) for status in told if status.isdecimal()), None)
    return 403 if known is None and _FORBIDDEN.match(str(error)) else known


def _is_taken(error: BaseException) -> bool:
    """Whether a store did not write since there is an object; some name only the condition that failed.

    A library that gives up the rest of a write may fail at that, too.
    """
    if isinstance(error, FileExistsError) or "condition" in str(error).lower():
        return True
    return error.__context__ is not None and _is_taken(error.__context__)


def _is_unable(error: Exception) -> bool:
    """Whether a store cannot be asked to write only what is not there."""
    unknown = isinstance(error, TypeError | NotImplementedError)
    return unknown or getattr(error, "errno", None) == errno.ENOSYS


def _one_line(error: Exception) -> str:
    said = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    said = _SECRETS.sub(r"\1...", " ".join((_FORBIDDEN.sub("", said) or "forbidden").split()))
    return said[:_LONGEST].strip(".,: ")

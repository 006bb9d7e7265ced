"""Errors of s3fs, gcsfs and adlfs as errors of the system, in one line without credentials."""

from __future__ import annotations

import errno
import os
import re

from clearair.errors import MissingExtraError, UsageError
from clearair.stores.addresses import SECRETS

NO_SUCH_BUCKET = "there is no such bucket"
"""The `strerror` of a FileNotFoundError that is about a bucket, not about an object."""
_LONGEST = 200
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
"""The query of a URL, which is long."""
_FORBIDDEN = re.compile(r"Forbidden: \S+\s*")
"""The start of gcsfs's message about a refusal, with a long URL."""


def as_system_error(error: Exception, missing: str) -> Exception:
    """The error as an OSError with one line; errors about missing packages stay as they are."""
    if isinstance(error, MissingExtraError | UsageError):
        return error
    if isinstance(error, FileNotFoundError):
        bucket = _NO_BUCKET.search(str(error))
        return FileNotFoundError(errno.ENOENT, NO_SUCH_BUCKET if bucket else missing)
    if isinstance(error, FileExistsError):
        return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    kinds = {kind.__name__ for kind in type(error).__mro__}
    said = one_line(error)
    status = _status(error)
    if isinstance(error, PermissionError) or status in (401, 403):
        return PermissionError(errno.EACCES, f"the store refuses access ({said})")
    if kinds.intersection(_NO_CREDENTIALS):
        return PermissionError(errno.EACCES, "no credentials for the store were found")
    if status == 416:
        return OSError(errno.EIO, "there is no such range of bytes")
    if kinds.intersection(_UNREACHABLE):
        told = one_line(Exception(str(error)))  # its strerror names no host
        return OSError(errno.EHOSTUNREACH, f"the store cannot be reached ({_QUESTION.sub('', told)})")
    if any("Timeout" in kind for kind in kinds):
        return TimeoutError(errno.ETIMEDOUT, "the store did not answer in time")
    if isinstance(error, TypeError) and "unexpected keyword" in said:
        said = f"a setting of the store is not known ({said})"
    number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
    return OSError(number, said)


def _status(error: Exception) -> int | None:
    """The HTTP status of the store's answer, if its library reports it."""
    told = (str(getattr(error, name, None)) for name in ("code", "status", "status_code"))
    known = next((int(status) for status in told if status.isdecimal()), None)
    return 403 if known is None and _FORBIDDEN.match(str(error)) else known


def is_taken(error: BaseException) -> bool:
    """Whether a store did not write since there is an object; some name only the condition that failed.

    A library that gives up the rest of a write may fail at that, too.
    """
    if isinstance(error, FileExistsError) or "condition" in str(error).lower():
        return True
    return error.__context__ is not None and is_taken(error.__context__)


def is_unable(error: Exception) -> bool:
    """Whether a store does not support conditional writes."""
    unknown = isinstance(error, TypeError | NotImplementedError)
    return unknown or getattr(error, "errno", None) == errno.ENOSYS


def one_line(error: Exception) -> str:
    """What an error says, in one short line without credentials."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    said = SECRETS.sub(r"\1...", " ".join((_FORBIDDEN.sub("", said) or "forbidden").split()))
    return said[:_LONGEST].strip(".,: ")

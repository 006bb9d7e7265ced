"""Errors as problem documents (RFC 9457): the status, and a sentence for people."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

SCHEMA_VERSION = 1
"""Of every JSON value of the API; grows when a client would have to change."""
MEDIA_TYPE = "application/problem+json"
_PREFIX = "urn:clearair:"


@dataclass(frozen=True)
class _Kind:
    """A kind of problem."""

    status: int
    title: str
    detail: str
    """The default detail; may name fields in braces."""
    headers: dict[str, str] = field(default_factory=dict)


KINDS = {
    "bad-option": _Kind(422, "Option not understood", "An option of the request is not understood."),
    "bad-picture": _Kind(422, "Picture cannot be read", "The file cannot be read as a picture."),
    "damaged": _Kind(422, "Damaged file", "The file is damaged; salvage=true restores what is left of it."),
    "cannot-write": _Kind(422, "Result cannot be written", "The result cannot be written in this format."),
    "empty": _Kind(422, "No picture", "The request has no body; send the bytes of the picture file."),
    "too-many-bytes": _Kind(
        413, "File too large", "The file has more than the {limit:,} bytes that this server takes."
    ),
    "too-many-pixels": _Kind(413, "Picture too large", "The picture has too many pixels for this server."),
    "wrong-type": _Kind(
        415,
        "Send the bytes of the file",
        "Send the bytes of the picture as the body, not a form: curl --data-binary @photo.jpg ...",
    ),
    "encoded": _Kind(415, "Content-Encoding not supported", "Send the file as it is, without compression."),
    "stalled": _Kind(408, "Upload too slow", "The upload stalled, or the connection is too slow."),
    "queue-full": _Kind(
        429, "Too many pictures at once", "The server is busy; try again in {seconds} seconds."
    ),
    "too-slow": _Kind(504, "Took too long", "The picture took longer than {seconds:.15g} s and was stopped."),
    "crashed": _Kind(
        422,
        "Picture cannot be processed",
        "The process that worked on the picture ended; the file may be damaged, or too large for the memory.",
    ),
    "out-of-memory": _Kind(
        422, "Not enough memory", "There is not enough memory for the picture; make it smaller first."
    ),
    "no-space": _Kind(507, "Disk full", "The server has no room for temporary files; try again later."),
    "not-ready": _Kind(
        503, "Not ready", "The server is starting or shutting down; try again later.", {"Retry-After": "5"}
    ),
    "two-lengths": _Kind(
        400,
        "Length told twice",
        "Content-Length and Transfer-Encoding contradict each other; send one of them.",
    ),
    "unauthorized": _Kind(
        401,
        "API key needed",
        "Send the API key of this server: Authorization: Bearer KEY, or X-API-Key: KEY.",
        {"WWW-Authenticate": "Bearer"},
    ),
    "wrong-host": _Kind(
        421, "Unknown host name", "The server is not known as {host}; start it with --allowed-host {host}."
    ),
    "wrong-origin": _Kind(
        403, "Request from another site", "Pages of other sites may not use this server (--allow-origin)."
    ),
    "unknown-job": _Kind(404, "No such job", "There is no job of this name."),
    "no-preview": _Kind(404, "No such preview", "This job has no preview of this name."),
    "unfinished": _Kind(409, "Not finished", "The job is {status}; it has no result."),
    "expired": _Kind(410, "Expired", "The result was deleted, {seconds} seconds after it was finished."),
    "deleted": _Kind(410, "Deleted", "The result was deleted on request."),
    "cancelled": _Kind(409, "Cancelled", "The job was cancelled."),
    "bug": _Kind(500, "Unexpected error", "Something unexpected went wrong; the server has noted it."),
}
"""Every problem by its name, which is the end of its `type`."""

_OF_ERRORS = {
    "TooLargeError": "too-many-pixels",
    "ImageError": "bad-picture",
    "DamageError": "damaged",
    "UsageError": "bad-option",
    "OutputError": "cannot-write",
    "OutOfMemoryError": "out-of-memory",
    "CancelledError": "cancelled",
    "Bug": "bug",
}
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk that takes no more."""


class ProblemError(Exception):
    """A request ends with a problem document."""

    def __init__(
        self, name: str, status: int, title: str, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.name = name
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers or {}

    @classmethod
    def of(
        cls, name: str, detail: str | None = None, *, headers: dict[str, str] | None = None, **values: Any
    ) -> ProblemError:
        """A problem of KINDS; `values` fill its sentence, unless there is a `detail`."""
        kind = KINDS[name]
        words = kind.detail.format(**values) if detail is None else detail
        return cls(name, kind.status, kind.title, words, {**kind.headers, **(headers or {})})

    @classmethod
    def of_status(cls, status: int, detail: str, headers: dict[str, str] | None = None) -> ProblemError:
        """A problem with only a status."""
        return cls("", status, HTTPStatus(status).phrase, detail, headers)

    @classmethod
    def from_worker(cls, error: dict[str, Any]) -> ProblemError:
        """A refusal of a worker, of which only the kind and the sentence are trusted."""
        kind = str(error.get("kind"))
        if kind == "OSError":
            return cls.of("no-space" if error.get("errno") in NO_SPACE else "bug")
        name = _OF_ERRORS.get(kind, "bug")
        return cls.of(name) if name == "bug" else cls.of(name, str(error.get("message"))[:500])

    def to_dict(self) -> dict[str, Any]:
        """The document."""
        return {
            "type": _PREFIX + self.name if self.name else "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "schema_version": SCHEMA_VERSION,
        }

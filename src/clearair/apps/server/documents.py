"""What the OpenAPI document says beyond the types: bodies, problems and examples."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from clearair.apps.server.problems import MEDIA_TYPE, SCHEMA_VERSION, ProblemError
from clearair.apps.server.schemas import MEDIA_TYPES, Problem

DESCRIPTION = """Restores noisy, hazy, rainy, snowy, blurred or dark photos.

Send the bytes of a file, get the bytes of the restored one:

    curl --data-binary @photo.jpg http://127.0.0.1:8000/v1/restore -o restored.jpg

Errors are problem documents (RFC 9457). A server that has an API key wants `Authorization: Bearer KEY`
or `X-API-Key: KEY`."""

TAGS = [
    {"name": "pictures", "description": "One request, one answer."},
    {"name": "jobs", "description": "Work that outlasts a request: create, ask, fetch, delete."},
    {"name": "server", "description": "What operators and their programs ask."},
]

_WORDS = {
    400: "The request is no valid HTTP.",
    401: "An API key is needed.",
    403: "The request comes from a page of another site.",
    404: "Nothing has this name.",
    408: "The upload stalled, or is too slow.",
    409: "It is not finished, or was cancelled.",
    410: "It expired or was deleted.",
    413: "Too many bytes or pixels, or too little memory for them.",
    415: "The body is a form or is compressed.",
    421: "The server has no such name.",
    422: "An option is not understood, or the file cannot be read.",
    429: "The queue is full; `Retry-After` says when to come again.",
    500: "Something unexpected went wrong.",
    503: "The server is starting or shutting down.",
    504: "It took longer than allowed.",
    507: "The disk for temporary files is full.",
}
_BINARY = {"type": "string", "format": "binary"}


_TYPICAL = {
    401: "unauthorized", 403: "wrong-origin", 404: "unknown-job", 408: "stalled", 409: "cancelled",
    410: "deleted", 413: "too-many-pixels", 415: "wrong-type", 422: "bad-picture", 500: "bug",
    503: "not-ready", 507: "no-space",
}  # fmt: skip
"""Problems that stand as examples for their status."""


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": _WORDS[status], "content": {MEDIA_TYPE: _problem(status)}}
        for status in statuses
    }


def _problem(status: int) -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    name = _TYPICAL.get(status)
    if name is None:
        return schema
    return {**schema, "example": ProblemError.of(name).to_dict()}


_ALWAYS = (400, 401, 421)
_UPLOAD = (*_ALWAYS, 403, 408, 413, 415, 422, 429, 500, 503, 504, 507)
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The bytes of the picture file, whatever the content type says.",
        "content": {"application/octet-stream": {"schema": _BINARY}},
    }
}


def _images(words: str, kinds: list[str]) -> dict[str, Any]:
    return {"description": words, "content": {kind: {"schema": _BINARY} for kind in kinds}}


_NAME = {
    "Content-Disposition": {
        "description": "A name with the suffix of the format, such as restored.jpg.",
        "schema": {"type": "string"},
    }
}
_RESULT = {**_images("The restored file.", list(MEDIA_TYPES.values())), "headers": _NAME}
_OUTCOME = {
    **_NAME,
    "Clearair-Outcome": {
        "description": "What was found and done, in JSON: an Outcome with its schema_version.",
        "schema": {"type": "string"},
    },
    "Clearair-Notes": {
        "description": "Remarks, such as on frames and metadata that are left out, as a list in JSON.",
        "schema": {"type": "string"},
    },
}
_AGAIN = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_OF_STATUSES = {
    "202": {"Location": {"description": "Where its state is.", "schema": {"type": "string"}}},
    "401": {"WWW-Authenticate": {"description": "`Bearer`.", "schema": {"type": "string"}}},
    "429": _AGAIN,
    "503": _AGAIN,
}
"""Headers that come with a status."""

PLAIN: dict[str, Any] = {"responses": _problems(*_ALWAYS)}
HEALTH: dict[str, Any] = {"responses": _problems(400, 421)}
READY: dict[str, Any] = {"responses": _problems(400, 421, 503)}
RESTORE: dict[str, Any] = {
    "response_class": Response,
    "openapi_extra": _BODY,
    "responses": {200: {**_RESULT, "headers": _OUTCOME}, **_problems(*_UPLOAD)},
}
_PERCEPTS = {
    "score": 2.574,
    "levels": {"excellent": 0.002, "good": 0.051, "fair": 0.496, "poor": 0.421, "bad": 0.029},
    "change": 1.0,
    "tone": 0.0,
    "degradations": {"noise": 0.998, "haze": 0.016},
    "regions": [{"label": 1, "area": 0.38, "degradations": {"noise": 0.98, "haze": 0.02}}],
}
_DONE = {
    "damage": "auto",
    "found": {"noise": 0.998},
    "share": 1.0,
    "changed": True,
    "tiles": 1,
    "tiles_left": 0,
    "text": "noise 99 %: restored",
}
_PICTURE = {"format": "jpeg", "width": 451, "height": 300}
_INSPECTED = {
    "schema_version": SCHEMA_VERSION,
    "picture": _PICTURE,
    "percepts": _PERCEPTS,
    "outcome": {**_DONE, "changed": None, "tiles": 0, "text": "noise 99 %: will be restored"},
    "notes": [],
}
_HERE = "v1/jobs/q05mS8rDIhtRKprxnPOtiQ"
_LINKS: dict[str, str | None] = {
    "self": _HERE, "events": f"{_HERE}/events", "result": None,
    "before": None, "after": None, "regions": None,
}  # fmt: skip
_QUEUED = {
    "schema_version": SCHEMA_VERSION,
    "id": "q05mS8rDIhtRKprxnPOtiQ",
    "status": "queued",
    "position": 0,
    "progress": None,
    "picture": _PICTURE,
    "options": {"damage": ["auto"], "strength": 1.0},
    "created": "2026-01-31T12:00:00Z",
    "finished": None,
    "expires": None,
    "error": None,
    "result": None,
    "links": _LINKS,
}  # fmt: skip
_FINISHED = {
    **_QUEUED,
    "status": "done",
    "position": None,
    "progress": {"done": 1, "total": 1},
    "finished": "2026-01-31T12:00:01Z",
    "expires": "2026-01-31T12:15:01Z",
    "result": {
        **_PICTURE, "media_type": "image/jpeg", "suffix": ".jpg", "bytes": 35240, "seconds": 0.61,
        "percepts": _PERCEPTS, "outcome": _DONE, "notes": [], "left_out": [],
    },
    "links": {**_LINKS, "result": f"{_HERE}/result"},
}  # fmt: skip


def _shows(status: int, example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {status: {"content": {"application/json": {"example": example}}}}


INSPECT: dict[str, Any] = {
    "openapi_extra": _BODY,
    "responses": {**_shows(200, _INSPECTED), **_problems(*_UPLOAD)},
}
CREATE: dict[str, Any] = {
    "openapi_extra": _BODY,
    "responses": {**_shows(202, _QUEUED), **_problems(*_UPLOAD)},
}
STATE: dict[str, Any] = {"responses": {**_shows(200, _FINISHED), **_problems(*_ALWAYS, 404, 422)}}
DELETE: dict[str, Any] = {"responses": {**STATE["responses"], **_problems(403)}}
EVENTS: dict[str, Any] = {"responses": _problems(*_ALWAYS, 404, 422)}
RESULT: dict[str, Any] = {
    "response_class": Response,
    "responses": {200: _RESULT, **_problems(*_ALWAYS, 404, 409, 410, 422, 500, 503, 504, 507)},
}
PREVIEW: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: _images("The preview.", ["image/png"]),
        **_problems(*_ALWAYS, 404, 409, 410, 422, 500, 503, 504, 507),
    },
}
METRICS: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {"description": "Prometheus' text.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **_problems(*_ALWAYS),
    },
}


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an application, with the problem documents and the API key."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        parts = made.setdefault("components", {})
        parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        parts["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        made["security"] = [{}, {"key": []}, {"header": []}]
        made["servers"] = [{"url": "."}]  # relative to the document, which a proxy may have moved
        for path in made["paths"].values():
            for operation in path.values():
                for status in _OF_STATUSES.keys() & operation["responses"].keys():
                    operation["responses"][status].setdefault("headers", {}).update(_OF_STATUSES[status])
        app.openapi_schema = made
    return app.openapi_schema

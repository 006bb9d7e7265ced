"""What the OpenAPI document says beyond the types: bodies, problems and examples."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from clearair.apps.server.problems import MEDIA_TYPE
from clearair.apps.server.schemas import MEDIA_TYPES, Problem

DESCRIPTION = """Restores noisy, hazy, rainy, snowy, blurred or dark photos.

Send the bytes of a file, get the bytes of the restored one:

    curl --data-binary @photo.jpg http://127.0.0.1:8000/v1/restore -o restored.jpg

Errors are problem documents (RFC 9457). A server that has an API key wants `Authorization: Bearer KEY`."""

TAGS = [
    {"name": "pictures", "description": "One request, one answer."},
    {"name": "jobs", "description": "Work that outlasts a request: create, ask, fetch, delete."},
    {"name": "server", "description": "What operators and their programs ask."},
]

_WORDS = {
    400: "The request is no valid HTTP.",
    401: "An API key is needed.",
    403: "The request comes from a page of another site.",
    404: "There is none of this name.",
    408: "The upload stood still.",
    409: "It is not finished, or was cancelled.",
    410: "It expired or was deleted.",
    413: "Too many bytes or pixels.",
    415: "The body is a form or is compressed.",
    421: "The server has no such name.",
    422: "An option is not understood, or the file cannot be read.",
    429: "The queue is full; `Retry-After` says when to come again.",
    500: "Something unexpected went wrong.",
    503: "The server is starting or ending.",
    504: "It took longer than allowed.",
    507: "There is no room for temporary files.",
}
_BINARY = {"type": "string", "format": "binary"}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {
            "description": _WORDS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


_ALWAYS = (401, 403, 421)
_UPLOAD = (400, *_ALWAYS, 408, 413, 415, 422, 429, 500, 503, 504, 507)
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The bytes of the picture file, whatever the content type says.",
        "content": {"application/octet-stream": {"schema": _BINARY}},
    }
}


def _images(words: str, kinds: list[str]) -> dict[str, Any]:
    return {"description": words, "content": {kind: {"schema": _BINARY} for kind in kinds}}


_RESULT = _images("The restored file.", list(MEDIA_TYPES.values()))
_OUTCOME = {
    "Clearair-Outcome": {
        "description": "What was found and done, in JSON: an Outcome with its schema_version.",
        "schema": {"type": "string"},
    }
}
_AGAIN = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}

PLAIN: dict[str, Any] = {"responses": _problems(*_ALWAYS)}
READY: dict[str, Any] = {"responses": _problems(421, 503)}
RESTORE: dict[str, Any] = {
    "response_class": Response,
    "openapi_extra": _BODY,
    "responses": {200: {**_RESULT, "headers": _OUTCOME}, **_problems(*_UPLOAD)},
}
INSPECT: dict[str, Any] = {"openapi_extra": _BODY, "responses": _problems(*_UPLOAD)}
CREATE: dict[str, Any] = {"openapi_extra": _BODY, "responses": _problems(*_UPLOAD)}
STATE: dict[str, Any] = {"responses": _problems(*_ALWAYS, 404, 422)}
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
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{}, {"key": []}]
        for path in made["paths"].values():
            for operation in path.values():
                if "429" in operation["responses"]:
                    operation["responses"]["429"]["headers"] = _AGAIN
        app.openapi_schema = made
    return app.openapi_schema

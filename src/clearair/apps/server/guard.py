"""Checks of every request before it is handled, and security headers of every response."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clearair.apps.server.answers import answer_problem
from clearair.apps.server.metrics import Metrics
from clearair.apps.server.problems import ProblemError
from clearair.apps.server.settings import Settings

_SAFE = ("GET", "HEAD", "OPTIONS")
_OPEN = ("/healthz", "/readyz", "/", "/docs", "/openapi.json", "/favicon.ico")
"""Paths that need no API key: they reveal nothing about pictures."""
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; script-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_log = logging.getLogger(__name__)


class Guard:
    """ASGI middleware: host, origin and API key; security headers; times."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _in_origin_form(scope)
        began, status = time.perf_counter(), 500
        unread = _has_body(Headers(scope=scope))
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # uvicorn, which has its own, leaves the body out

        async def receive_noted() -> Message:
            nonlocal unread
            message = await receive()
            unread = unread and message.get("more_body", False)
            return message

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/v1/"):
                    headers.setdefault("Cache-Control", "no-store")
                if unread:  # the rest of the body still comes, so the client cannot use the connection again
                    headers["Connection"] = "close"
            await send(message)

        try:
            check(scope, self._settings)
        except ProblemError as problem:
            await answer_problem(problem)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive_noted, send_guarded)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in (*_SAFE, "POST", "DELETE") else "other"
            self._metrics.note_request(method, route, status, time.perf_counter() - began)


def _in_origin_form(scope: Scope) -> Scope:
    """A request whose target is a whole address is one for its host, as to a proxy (RFC 9112, 3.2.2)."""
    scheme, found, rest = scope["path"].partition("://")
    if not found or scheme.lower() not in ("http", "https"):
        return scope
    host, _, path = rest.partition("/")
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {**scope, "path": f"/{path}", "headers": [(b"host", host.encode("latin-1", "replace")), *headers]}


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def check(scope: Scope, settings: Settings) -> None:
    """Raise ProblemError for a request that must not be answered."""
    headers = Headers(scope=scope)
    if "transfer-encoding" in headers and "content-length" in headers:
        raise ProblemError.of("two-lengths")  # a proxy might see the next request start at another place
    host = headers.get("host", "")
    _check_host(host, settings)
    if scope["method"] not in _SAFE:
        _check_origin(headers, host, settings)
    path: str = scope["path"]
    is_open = path in _OPEN or path.startswith("/static/") or scope["method"] == "OPTIONS"
    if settings.api_key is not None and not is_open:
        _check_key(headers, settings.api_key)


def _check_host(host: str, settings: Settings) -> None:
    """A page of another site can point its name to this machine, but cannot choose the Host header."""
    name = _name_of(host)
    if name in settings.host_names or "*" in settings.host_names:
        return
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError as error:
        raise ProblemError.of("wrong-host", host=repr(name[:100])) from error


def _name_of(host: str) -> str:
    """A Host header without its port, in lower case."""
    name, _, port = host.lower().rpartition(":")
    return name if name and port.isdecimal() else host.lower()


def _check_origin(headers: Headers, host: str, settings: Settings) -> None:
    """A request that changes something comes from this server's own page, or from no page at all."""
    origin = headers.get("origin")
    if origin is not None:
        if origin in settings.origins or _place_of(origin) == host.lower():
            return
        raise ProblemError.of("wrong-origin")
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise ProblemError.of("wrong-origin")


def _place_of(origin: str) -> str | None:
    """Host and port of an origin; None for text that is not an origin."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _check_key(headers: Headers, key: str) -> None:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    said = given.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    if not secrets.compare_digest(said.encode(), key.encode()):
        raise ProblemError.of("unauthorized")

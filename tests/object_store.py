"""A real S3 server on this machine, which counts what it is asked and can be told to misbehave."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from clearair.stores.filesystems import file_system

BUCKET = "pictures"
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "never-to-be-printed",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
Fault = Callable[[str, str], tuple[str, str] | None]
"""Is asked for each request, with its method and path, for a status and the code of an error."""


class _Silent(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        pass


class ObjectStore:
    """A server, what it knows, and what was asked since `asked` was cleared."""

    scheme = "s3"
    secrets: tuple[str, ...] = (SETTINGS["AWS_ACCESS_KEY_ID"], SETTINGS["AWS_SECRET_ACCESS_KEY"])

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        """Requests by method; LIST is a GET that lists."""
        self.fault: Fault | None = None
        self._server = make_server("127.0.0.1", 0, self._answer, True, request_handler=_Silent)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self.root = f"{self.scheme}://{BUCKET}"
        self._open()
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self._create_bucket()

    def close(self) -> None:
        self.client.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _open(self) -> None:
        """Make what answers, a client of it, and the settings by which a process finds it."""
        self._app = DomainDispatcherApplication(create_backend_app)
        self.settings = {**SETTINGS, "AWS_ENDPOINT_URL": self.url}
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def _create_bucket(self) -> None:
        self.client.create_bucket(Bucket=BUCKET)

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if "boto3" not in environ.get("HTTP_USER_AGENT", "").lower():  # the client's own do not count
            self.asked["LIST" if "list-type" in environ["QUERY_STRING"] else method] += 1
            fault = self.fault(method, path) if self.fault is not None else None
            if fault is not None:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                status, code = fault
                body = f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>".encode()
                start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
                return [b"" if method == "HEAD" else body]
        answer: Iterable[bytes] = self._app(environ, start)
        return answer

    def keys(self, prefix: str = "") -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [each["Key"] for each in found]

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return data

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def content_type(self, key: str) -> str:
        return str(self.client.head_object(Bucket=BUCKET, Key=key)["ContentType"])

    def modified(self, key: str) -> float:
        """Seconds since the epoch."""
        time: datetime = self.client.head_object(Bucket=BUCKET, Key=key)["LastModified"]
        return time.timestamp()

    def delete(self, *keys: str) -> None:
        for key in keys:
            self.client.delete_object(Bucket=BUCKET, Key=key)

    def upload(self, folder: Path, prefix: str) -> None:
        for path in sorted(folder.rglob("*.*")):
            self.put(f"{prefix}/{path.relative_to(folder)}", path.read_bytes())

    def reset(self) -> None:
        self.fault = None
        self.delete(*self.keys())
        self.asked.clear()


@contextmanager
def running(kind: type[ObjectStore] = ObjectStore) -> Iterator[ObjectStore]:
    """A server while this lasts."""
    store = kind()
    try:
        yield store
    finally:
        store.close()


@contextmanager
def known(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """The server, empty, as the one that this process finds by its environment."""
    for name, value in store.settings.items():
        monkeypatch.setenv(name, value)
    store.reset()
    file_system.cache_clear()
    yield store
    file_system.cache_clear()

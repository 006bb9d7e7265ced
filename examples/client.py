"""Restore photos with a server of `clearair serve`, with nothing but Python's own library.

    python examples/client.py http://127.0.0.1:8000 photo.jpg better.jpg --damage haze

Creates a job, asks once a second how far it is, and fetches the result. Comes again when the server is busy.
Takes the API key from the environment variable CLEARAIR_API_KEY.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path


def main() -> None:
    """Restore one photo."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("server")
    parser.add_argument("photo", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--damage", default="auto")
    options = parser.parse_args()
    if not options.photo.is_file():
        sys.exit(f"{options.photo}: there is no such file")
    if not options.result.parent.is_dir():
        sys.exit(f"{options.result}: there is no such folder")
    query = urllib.parse.urlencode({"damage": options.damage, "metadata": "keep"})
    job = json.loads(ask(options.server, f"v1/jobs?{query}", options.photo.read_bytes()))
    while job["status"] in ("queued", "running"):
        time.sleep(1)
        job = json.loads(ask(options.server, job["links"]["self"]))
    if job["status"] != "done":
        sys.exit(job["error"]["detail"])
    try:
        options.result.write_bytes(ask(options.server, job["links"]["result"]))
    except OSError as error:
        sys.exit(f"{options.result}: cannot be written: {error.strerror}")
    print(f"{options.photo}: {job['result']['outcome']['text']}")


def ask(server: str, path: str, body: bytes | None = None) -> bytes:
    """Send a request, again while the server is busy; with a body it is a POST."""
    key = os.environ.get("CLEARAIR_API_KEY")
    headers = {"Content-Type": "application/octet-stream"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    while True:
        try:
            request = urllib.request.Request(f"{server.rstrip('/')}/{path}", body, headers)
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            again = error.headers.get("Retry-After", "")
            if error.code not in (429, 503) or not again.isdecimal():
                sys.exit(reason(error))
            time.sleep(int(again))
        except (OSError, ValueError) as error:
            sys.exit(f"{server}: cannot be asked: {error}")


def reason(error: urllib.error.HTTPError) -> str:
    """What the server says of an error; a proxy may answer with a page of its own instead."""
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, LookupError, TypeError):
        return f"{error.url}: {error.code} {error.reason}"


if __name__ == "__main__":
    main()

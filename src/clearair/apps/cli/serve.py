"""`clearair serve`: the web page and the HTTP API."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from clearair.apps.cli.lines import say
from clearair.apps.cli.options import (
    FiniteRange,
    LocalPath,
    backend_option,
    device_option,
    model_option,
    precision_option,
)
from clearair.errors import MissingExtraError, UsageError

_MIB = 1 << 20


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen at; 0 takes a free one.",
)
@click.option(
    "--api-key-file",
    type=LocalPath(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File with the API key that clients must send.  [default: CLEARAIR_API_KEY, else none]",
)
@click.option("--allow-anyone", is_flag=True, help="Let other machines connect without an API key.")
@click.option(
    "--allowed-host", multiple=True, metavar="NAME", help="Name by which the server is reached; repeatable."
)
@click.option(
    "--allow-origin",
    multiple=True,
    metavar="ORIGIN",
    help="Web site whose pages may use the API, such as https://photos.example; repeatable.",
)
@click.option(
    "--trusted-proxy",
    multiple=True,
    metavar="ADDRESS",
    help="Reverse proxy whose X-Forwarded headers are trusted; repeatable.",
)
@model_option
@backend_option
@device_option
@precision_option
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Photos restored at once, each in a process.  [default: one for every four cores]",
)
@click.option(
    "--memory-budget",
    metavar="SIZE",
    help="Memory for each worker, such as 1GB.  [default: its part of what is free]",
)
@click.option(
    "--queue", type=click.IntRange(1), default=16, show_default=True, help="Maximum number of waiting photos."
)
@click.option(
    "--max-mb", type=FiniteRange(min=0.001), default=64, show_default=True, help="Largest file, in MiB."
)
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=100_000_000,
    show_default=True,
    metavar="N",
    help="Largest photo; larger ones are refused before they are decoded.",
)
@click.option(
    "--max-seconds",
    type=FiniteRange(min=0.1),
    default=300,
    show_default=True,
    help="Time limit for one photo.",
)
@click.option(
    "--keep-minutes",
    type=FiniteRange(0.01, 525_600),
    default=15,
    show_default=True,
    help="How long results of jobs are kept.",
)
@click.option(
    "--temp",
    type=LocalPath(path_type=Path),
    metavar="FOLDER",
    help="Folder for uploads and results, as unnamed files.  [default: the system's]",
)
@click.option("--access-log", is_flag=True, help="Print a line for each request.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.pass_context
def serve(ctx: click.Context, /, open_page: bool, **options: Any) -> None:
    """Serve a web page and an HTTP API for restoring photos.

    The page is at http://127.0.0.1:8000/, the API below /v1, its description at /docs. Ctrl-C ends the server
    after its current work is finished.
    """
    try:
        from clearair.apps.server.run import run
        from clearair.apps.server.settings import Limits, Settings
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("clearair"):
            raise
        raise MissingExtraError(
            f"clearair serve needs {error.name}: pip install 'clearair[serve]'"
        ) from error

    settings = Settings(
        host=options["host"],
        port=options["port"],
        model=options["model"],
        loading=_loading(options),
        workers=options["workers"] or 0,
        limits=Limits(
            bytes=int(options["max_mb"] * _MIB),
            pixels=options["max_pixels"],
            seconds=options["max_seconds"],
            queue=options["queue"],
            keep_seconds=60 * options["keep_minutes"],
        ),
        api_key=_key(options["api_key_file"]),
        allow_anyone=options["allow_anyone"],
        allowed_hosts=options["allowed_host"],
        allowed_origins=options["allow_origin"],
        trusted_proxies=options["trusted_proxy"],
        spool=options["temp"],
        access_log=options["access_log"],
    )

    def tell(address: str) -> None:
        say(f"clearair: page at {address}, API at {address}docs; Ctrl-C ends it", err=True)
        if open_page:
            click.launch(address)

    if run(settings, tell):
        ctx.exit(130)


def _loading(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("device", "precision", "backend", "memory_budget")}


def _key(file: Path | None) -> str | None:
    """The API key: of the file, else of the environment. Raises UsageError for a file without one."""
    from clearair.apps.server.service import KEY_VARIABLE

    if file is None:
        return os.environ.get(KEY_VARIABLE, "").strip() or None
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: the API key cannot be read.") from error
    if not key:
        raise UsageError(f"{file}: holds no API key.")
    return key

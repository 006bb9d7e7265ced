"""Settings of a server."""

from __future__ import annotations

import ipaddress
import math
import re
import socket
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from clearair.errors import UsageError
from clearair.graphs import usable_cores

LEAST_KEY = 16
"""Characters of an API key: shorter ones can be guessed."""

_HOST = re.compile(r"\*|[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Limits:
    """Limits for one request and for all together."""

    bytes: int = 64 << 20
    """Largest upload in bytes."""
    pixels: int = 100_000_000
    """Most pixels of a picture, checked by its header before decoding."""
    seconds: float = 300
    """Longest work on one picture, in seconds."""
    queue: int = 16
    """Most waiting pictures; more are answered with 429."""
    upload_seconds: float = 120
    """Longest time of an upload, in seconds; more if it averages `upload_rate`."""
    upload_rate: float = 16 << 10
    """Bytes a second with which an upload may take as long as it needs."""
    stall_seconds: float = 20
    """Longest pause of an upload, in seconds."""
    keep_seconds: float = 900
    """Time that the result of a job is kept, in seconds."""
    keep_bytes: int = 1 << 30
    """Most bytes of all kept results; beyond that, the oldest are deleted early."""


@dataclass(frozen=True)
class Settings:
    """All settings of a server."""

    host: str = "127.0.0.1"
    port: int = 8000
    model: str = "compact"
    loading: dict[str, Any] = field(default_factory=dict)
    """Further arguments of `Restorer.from_pretrained`: device, precision, backend, memory_budget."""
    workers: int = 0
    """Pictures restored at once, each in a process; 0 = one for every four cores."""
    limits: Limits = Limits()
    api_key: str | None = None
    allow_anyone: bool = False
    """Whether other machines may connect without an API key."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which the server is reached, besides localhost and addresses."""
    allowed_origins: tuple[str, ...] = ()
    """Web sites whose pages may use the API, such as https://photos.example."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses of reverse proxies whose X-Forwarded headers are believed."""
    spool: Path | None = None
    """Folder of uploads and results; None = that of the system for temporary files."""
    access_log: bool = False
    shutdown_seconds: int = 30
    """Time that running requests have after the server is asked to shut down, in seconds."""

    def __post_init__(self) -> None:
        if self.api_key is not None and len(self.api_key) < LEAST_KEY:
            raise UsageError(f"The API key is too short: it needs at least {LEAST_KEY} characters.")
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise UsageError(
                "The API key contains characters that HTTP headers cannot hold; use letters and digits."
            )
        if not self.is_local and self.api_key is None and not self.allow_anyone:
            raise UsageError(
                f"{self.host}: other machines could use this server. Set an API key in the environment "
                "variable CLEARAIR_API_KEY or with --api-key-file, or use --allow-anyone."
            )
        numbers = (value for value in vars(self.limits).values() if isinstance(value, float))
        if not all(map(math.isfinite, numbers)):
            raise UsageError("Limits must be finite numbers, not nan and inf.")
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError as error:
                raise UsageError(f"--trusted-proxy {proxy}: is no address such as 127.0.0.1.") from error
        for host in self.allowed_hosts:
            if not _HOST.fullmatch(host):
                raise UsageError(f"--allowed-host {host}: is no name such as photos.example.")
        for origin in self.allowed_origins:
            begins = origin.startswith(("http://", "https://"))
            if not begins or origin.count("/") != 2 or origin.endswith("/"):
                raise UsageError(f"--allow-origin {origin}: an origin is such as https://photos.example.")
        if self.spool is not None and not self.spool.is_dir():
            raise UsageError(f"{self.spool}: there is no such folder for temporary files.")

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def worker_count(self) -> int:
        """How many processes restore pictures."""
        return self.workers or max(1, usable_cores() // 4)

    @cached_property
    def origins(self) -> frozenset[str]:
        """The allowed origins as browsers send them: in lower case, without the usual port."""
        return frozenset(map(_as_sent, self.allowed_origins))

    @property
    def host_names(self) -> frozenset[str]:
        """Names that a Host header may have; addresses are allowed besides."""
        names = {"localhost", *(host.lower() for host in self.allowed_hosts)}
        if not self.is_local:
            names |= {self.host.lower(), socket.gethostname().lower()}
        return frozenset(names)


def _as_sent(origin: str) -> str:
    scheme, _, place = origin.lower().partition("://")
    return f"{scheme}://{place.removesuffix(':443' if scheme == 'https' else ':80')}"

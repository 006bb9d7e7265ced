"""The file systems of fsspec, one for each kind of store, and the packages that they come from."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

from clearair.errors import MissingExtraError, UsageError
from clearair.stores.failures import one_line

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
PACKAGES.update(dict.fromkeys(("az", "abfs", "abfss"), "adlfs"))
"""Packages that fsspec needs for each scheme."""
_EXAMPLE = '{"anon": true}'


@cache
def file_system(scheme: str) -> Any:
    """The file system of fsspec for addresses of this kind.

    Raises MissingExtraError where a package is missing, UsageError where there is none, it cannot be used, or
    its settings in the environment are damaged.
    """
    _check_settings(scheme)
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(f"{scheme}:// needs fsspec: pip install 'clearair[stores]'") from error
    try:
        kind = fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise MissingExtraError(f"{scheme}://: {_package_for(scheme, error)}") from error
    except ValueError as error:
        raise UsageError(f"{scheme}://: no kind of store that fsspec knows.") from error
    _silence()
    try:
        return kind(use_listings_cache=False, skip_instance_cache=True)
    except Exception as error:  # whatever the library needs, such as an account or a host
        raise UsageError(f"{scheme}://: cannot be used: {one_line(error)}.") from error


def _check_settings(scheme: str) -> None:
    """Raise UsageError for settings that fsspec would warn of and go on without, such as without keys."""
    name = f"FSSPEC_{scheme.upper()}"
    try:
        settings = json.loads(os.environ.get(name) or "{}")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: is not JSON; it must be an object such as {_EXAMPLE}.") from error
    if not isinstance(settings, dict):
        raise UsageError(f"{name}: must be an object in JSON such as {_EXAMPLE}.")


def _silence() -> None:
    """Hide log messages of the libraries unless logging is set up.

    Without any handler, Python would print their warnings and tracebacks; the errors say what matters.
    """
    import logging

    for name in ("fsspec", "s3fs", "botocore", "gcsfs", "google", "adlfs", "azure"):
        logging.getLogger(name).addHandler(logging.NullHandler())


def _package_for(scheme: str, error: ImportError) -> str:
    named = PACKAGES.get(scheme)
    if named is None:
        return one_line(error)
    wanted = "'clearair[stores]'" if named == "s3fs" else named
    return f"needs {named}: pip install {wanted}"

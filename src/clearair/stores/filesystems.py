"""The file systems of fsspec, one for each kind of store, and the packages that they come from."""

from __future__ import annotations

from functools import cache
from typing import Any

from clearair.errors import MissingExtraError, UsageError
from clearair.stores.failures import one_line

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
PACKAGES.update(dict.fromkeys(("az", "abfs", "abfss"), "adlfs"))
"""Packages that fsspec needs for each scheme."""


@cache
def file_system(scheme: str) -> Any:
    """The file system of fsspec for addresses of this kind.

    Raises MissingExtraError where a package is missing, UsageError where there is none or it cannot be used.
    """
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

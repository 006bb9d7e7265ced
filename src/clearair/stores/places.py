"""Places, each a file or an object, by the names that users give them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePath

from clearair.errors import UsageError
from clearair.stores.addresses import SECRETS, is_address
from clearair.stores.filesystems import PACKAGES, file_system
from clearair.stores.objects import Address

Place = Path | Address
"""A file or an object."""


def place_of(said: str | PurePath | Address) -> Place:
    """The file or the object that is named.

    Raises UsageError for an address that holds credentials, which would be printed and kept.
    """
    if isinstance(said, Address):
        return said
    if not isinstance(said, str) or not is_address(said):
        return Path(said)
    scheme, _, rest = said.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if (at and ":" in user) or SECRETS.search(rest.partition("?")[2]):
        raise UsageError(
            f"{scheme}://...: credentials do not belong in an address, which is printed and stored; give "
            "them in the environment, or in a file that the store's library reads."
        )
    if not rest.strip("/") or (scheme in PACKAGES and rest.startswith("/")):
        raise UsageError(f"{said}: names no bucket.")
    return Address(said.rstrip("/"))


def require(places: Iterable[Place]) -> None:
    """Raise MissingExtraError or UsageError where a store among these is of a kind that cannot be used."""
    for scheme in {place.scheme for place in places if isinstance(place, Address)}:
        file_system(scheme)


def absolute(place: Place) -> Place:
    """The place as an absolute path or address."""
    return place if isinstance(place, Address) else Path(os.path.abspath(place))  # noqa: PTH100

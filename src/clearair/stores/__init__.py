"""Objects in stores, such as s3://bucket/photos/a.jpg, by what fsspec knows of them.

fsspec is loaded when the first object is looked at. Every error is an OSError whose `strerror` is one line
that names no credentials.
"""

from clearair.stores.addresses import is_address, resembles_address
from clearair.stores.facts import Content
from clearair.stores.objects import Address, unnamed_file
from clearair.stores.places import Place, absolute, place_of, require
from clearair.stores.waiting import until

__all__ = [
    "Address",
    "Content",
    "Place",
    "absolute",
    "is_address",
    "place_of",
    "require",
    "resembles_address",
    "unnamed_file",
    "until",
]

"""Reads and writes photos, with everything besides pixels that must be preserved.

`read_photo` gives a `Photo`, `Photo.with_pixels` takes restored pixels, `write_photo` and `encode_photo`
write it back. libvips decodes and encodes: it reads and writes 16 bits, where Pillow cuts 16-bit RGB to 8,
and reports truncated files as errors. Metadata travels byte for byte, outside of it.
"""

from clearair.image.fitting import holdings, losses, refuse_unfit
from clearair.image.formats import (
    FORMATS,
    SUFFIXES,
    WRITABLE_SUFFIXES,
    Format,
    format_of_suffix,
    output_format,
)
from clearair.image.limits import DEFAULT_MAX_PIXELS, CheckSize
from clearair.image.metadata import Metadata
from clearair.image.metadata.inventory import Inventory
from clearair.image.metadata.stripping import stripped
from clearair.image.photo import Photo, to_depth
from clearair.image.quality import Quality, check_quality
from clearair.image.reading import read_photo
from clearair.image.sources import fetch
from clearair.image.writing import check_target, encode_photo, write_photo

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "FORMATS",
    "SUFFIXES",
    "WRITABLE_SUFFIXES",
    "CheckSize",
    "Format",
    "Inventory",
    "Metadata",
    "Photo",
    "Quality",
    "check_quality",
    "check_target",
    "encode_photo",
    "fetch",
    "format_of_suffix",
    "holdings",
    "losses",
    "output_format",
    "read_photo",
    "refuse_unfit",
    "stripped",
    "to_depth",
    "write_photo",
]

"""Metadata of picture files that libvips would lose.

`Metadata` starts from what libvips reads. libvips ignores the EXIF of a TIFF, everything behind the pixels of
a PNG, data that only one container has (comments, text, an extended XMP) and whether a resolution is stated
at all. It truncates long profiles. On writing it rebuilds EXIF by its own model and drops profiles that it
considers unfit. The modules here repair that, one per format; each repair has a test in which plain libvips
loses the data.
"""

from clearair.image.metadata.kept import NOTHING, Metadata

__all__ = ["NOTHING", "Metadata"]

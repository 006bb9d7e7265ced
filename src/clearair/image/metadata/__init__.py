"""What a picture file says beside its pixels, as far as libvips loses it.

libvips reads EXIF, XMP and profiles as they are, and its fields are what `Metadata` starts from. It loses the
EXIF of a TIFF, all that only one container has (comments, text, an extended XMP), whether a resolution is
stated at all, and on writing rebuilds EXIF by its own model and drops profiles that it finds unfit. Here is,
a file for each format, what repairs that; each piece has a test in which plain libvips loses the datum.
"""

from clearair.image.metadata.kept import NOTHING, Metadata

__all__ = ["NOTHING", "Metadata"]

"""What a picture file says beside its pixels, as far as libvips loses it.

What libvips reads is what `Metadata` starts from. It passes over the EXIF of a TIFF, all behind the pixels of
a PNG, what only one container has (comments, text, an extended XMP) and whether a resolution is stated at
all, cuts long profiles, and on writing rebuilds EXIF by its own model and drops profiles that it finds unfit.
Here is, a file for each format, what repairs that; each piece has a test in which plain libvips loses it.
"""

from clearair.image.metadata.kept import NOTHING, Metadata

__all__ = ["NOTHING", "Metadata"]

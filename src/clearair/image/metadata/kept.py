"""What a picture file says beside its pixels, in a form that every container can take."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from clearair.image.metadata import directories


@dataclass(frozen=True)
class Metadata:
    """Everything beside the pixels that a restoration keeps."""

    icc: bytes | None = None
    """The colour profile, unchanged."""
    exif: bytes | None = None
    """EXIF as a TIFF structure, starting with its byte order mark (without the `Exif\\0\\0` of JPEG)."""
    xmp: bytes | None = None
    """The XMP packet."""
    density: tuple[float, float] | None = None
    """Horizontal and vertical pixels per millimetre; None when the file does not say."""
    extras: tuple[tuple[str, bytes], ...] = ()
    """Pieces only the source's own container has (IPTC, comments, text), by their name there.

    They are written back when the format stays and left out when it changes.
    """

    @property
    def orientation(self) -> int:
        """The EXIF orientation, 1 to 8; 1 = stored upright."""
        return directories.read_orientation(self.exif) if self.exif else 1

    def upright(self) -> Metadata:
        """The same for pixels that are now stored upright."""
        exif = directories.with_orientation(self.exif, 1) if self.exif else None
        return replace(self, exif=exif, xmp=_upright_xmp(self.xmp) if self.xmp else None)

    def without_thumbnail(self) -> Metadata:
        """The same without the embedded preview, which would still show the unrestored picture."""
        return replace(self, exif=directories.without_thumbnail(self.exif)) if self.exif else self

    def colour_only(self) -> Metadata:
        """Only what is needed to show and print the pixels as before: the colour profile and the density."""
        colour = tuple((name, data) for name, data in self.extras if name in _COLOUR_EXTRAS)
        return Metadata(icc=self.icc, density=self.density, extras=colour)


NOTHING = Metadata()
"""Of a picture that is only pixels."""

_COLOUR_EXTRAS = {"gAMA", "cHRM", "sRGB", "cICP", "mDCV", "cLLI"}


def _upright_xmp(xmp: bytes) -> bytes:
    """Same length, as XMP packets may sit where others point past them."""
    xmp = re.sub(rb"(tiff:Orientation\s*=\s*[\"'])[2-8]([\"'])", rb"\g<1>1\g<2>", xmp)
    return re.sub(rb"(<tiff:Orientation>)[2-8](</)", rb"\g<1>1\g<2>", xmp)

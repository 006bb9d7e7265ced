"""Metadata of a picture file, in a form for all containers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from clearair.image.metadata import directories, photoshop, xmp
from clearair.image.metadata.colours import Colours


@dataclass(frozen=True)
class Metadata:
    """Everything besides the pixels that a restoration keeps."""

    icc: bytes | None = None
    """The colour profile, unchanged."""
    exif: bytes | None = None
    """EXIF as a TIFF structure, starting with its byte order mark (without the `Exif\\0\\0` of JPEG)."""
    xmp: bytes | None = None
    """The XMP packet."""
    density: tuple[float, float] | None = None
    """Horizontal and vertical pixels per millimetre; None when the file does not say."""
    extras: tuple[tuple[str, bytes], ...] = ()
    """Pieces only the source's own container has (comments, text, thermal data), by their name there.

    They are written back when the format stays and left out when it changes.
    """
    iptc: bytes | None = None
    """IPTC datasets (captions, keywords), which JPEG and TIFF hold."""
    photoshop: bytes | None = None
    """Photoshop's image resources (paths, copyright flag), which JPEG and TIFF hold."""
    colours: Colours | None = None
    """The colour space, if the file states it in numbers instead of a profile."""

    @property
    def orientation(self) -> int:
        """The EXIF orientation, 1 to 8; 1 = stored upright."""
        return directories.read_orientation(self.exif) if self.exif else 1

    def upright(self) -> Metadata:
        """The same for pixels that are now stored upright."""
        exif = directories.with_orientation(self.exif, 1) if self.exif else None
        return replace(self, exif=exif, xmp=xmp.upright(self.xmp) if self.xmp else None)

    def for_new_pixels(self) -> Metadata:
        """The same without previews, which show the unrestored picture, and without false announcements."""
        return replace(
            self,
            exif=directories.without_thumbnail(self.exif) if self.exif else None,
            xmp=xmp.for_new_pixels(self.xmp) if self.xmp else None,
            photoshop=photoshop.without_thumbnail(self.photoshop) if self.photoshop else None,
        )

    def for_other_format(self, *, grey: bool) -> Metadata:
        """What another format can hold, for pixels that are stored upright there.

        The XMP packet keeps an orientation that was not applied, as EXIF states none.
        """
        kept = self.upright() if self.orientation != 1 else self
        icc = kept.icc or (kept.colours.profile(grey=grey) if kept.colours else None)
        packet = xmp.without_extension(kept.xmp) if kept.xmp else None
        return replace(kept, icc=icc, xmp=packet, extras=())

    def has_thumbnail(self) -> bool:
        """Whether there is a preview that `for_new_pixels` takes out."""
        return (
            bool(self.exif and directories.has_thumbnail(self.exif))
            or bool(self.xmp and xmp.has_thumbnail(self.xmp))
            or bool(self.photoshop and photoshop.has_thumbnail(self.photoshop))
        )

    def colour_only(self) -> Metadata:
        """Only what is needed to show and print the pixels as before: colours and density."""
        colour = tuple((name, data) for name, data in self.extras if name in COLOUR_EXTRAS)
        return Metadata(icc=self.icc, density=self.density, extras=colour, colours=self.colours)


NOTHING = Metadata()
"""The metadata of a picture without any."""

COLOUR_EXTRAS = {"gAMA", "cHRM", "sRGB", "cICP", "iCCP", "mDCV", "cLLI"}
"""Chunks of a PNG that say what its colours mean."""

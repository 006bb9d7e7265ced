"""Metadata of a file: what is kept when the pixels change, and what is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from clearair.image.metadata import avif, directories, gif, jpeg, png, tiff, webp
from clearair.image.metadata.kept import Metadata

_X_RESOLUTION = 282
_UNKEPT: dict[str, Callable[[bytes], tuple[str, ...]]] = {
    "jpeg": jpeg.unkept,
    "png": png.unkept,
    "tiff": tiff.unkept,
    "webp": webp.unkept,
    "avif": avif.unkept,
    "gif": gif.unkept,
}
_CONTAINERS: dict[str, ModuleType] = {"jpeg": jpeg, "png": png, "tiff": tiff, "webp": webp}
_WITH_IPTC = ("jpeg", "tiff")
_WITHOUT_RESOLUTION = ("webp", "avif")


@dataclass(frozen=True)
class Inventory:
    """The pieces of one file, by their common names."""

    kept: tuple[str, ...]
    left_out: tuple[str, ...]


def unkept(data: bytes, kind: str, metadata: Metadata) -> tuple[str, ...]:
    """Name what the file `data` holds and no file with other pixels can hold, whatever its format."""
    names = _UNKEPT[kind](data) if kind in _UNKEPT else ()
    preview = ("thumbnail",) if metadata.has_thumbnail() else ()
    return tuple(dict.fromkeys([*preview, *names]))


def lost(metadata: Metadata, source: str, target: str) -> tuple[str, ...]:
    """Name what of `metadata`, from a file of the format `source`, has no place in one of `target`."""
    names: list[str] = []
    if target == "jpeg":
        names += jpeg.unfit(metadata)
    if source == target:
        return tuple(names)
    names += _named_extras(metadata, source)
    if target not in _WITH_IPTC:
        names += ["IPTC"] if metadata.iptc else []
        names += ["Photoshop resources"] if metadata.photoshop else []
    if target in _WITHOUT_RESOLUTION and metadata.density and not _exif_has_resolution(metadata):
        names.append("resolution")
    return tuple(dict.fromkeys(names))


def held(metadata: Metadata, source: str) -> tuple[str, ...]:
    """Name what `metadata`, from a file of the format `source`, holds."""
    pieces = {
        "colour profile": metadata.icc,
        "colours": metadata.colours,
        "EXIF": metadata.exif,
        "XMP": metadata.xmp,
        "IPTC": metadata.iptc,
        "Photoshop resources": metadata.photoshop,
        "resolution": metadata.density,
    }
    names = [name for name, piece in pieces.items() if piece]
    return tuple(dict.fromkeys([*names, *_named_extras(metadata, source)]))


def _named_extras(metadata: Metadata, source: str) -> list[str]:
    if source not in _CONTAINERS:
        return []
    called = _CONTAINERS[source].called
    return [name for extra in metadata.extras for name in called(*extra)]


def _exif_has_resolution(metadata: Metadata) -> bool:
    return bool(metadata.exif) and _X_RESOLUTION in directories.read_directory(metadata.exif or b"").tags

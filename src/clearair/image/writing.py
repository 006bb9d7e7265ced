"""Encode a photo, as bytes or into a file or an object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from clearair.errors import OutOfMemoryError, OutputError, UsageError
from clearair.image.forking import using_libvips
from clearair.image.formats import FORMATS, WRITABLE_SUFFIXES, format_of_suffix, output_format
from clearair.image.libvips import explain, libvips, no_room, require_room
from clearair.image.metadata import Metadata, avif, inventory, jpeg, png, tiff, webp
from clearair.image.metadata.colours import is_grey_profile
from clearair.image.metadata.inventory import Inventory
from clearair.image.metadata.profiles import Curve, grey_to_srgb, in_srgb_curve
from clearair.image.photo import Photo, Pixels, to_depth, turn_stored
from clearair.image.placing import check_target, write_atomically
from clearair.image.samples import Samples, describe_scaled
from clearair.memory import JPEG_LIMIT, JPEG_PIXEL_BYTES, free_memory, is_shortage
from clearair.stores import Place, place_of

QUALITY = {"jpeg": 95, "webp": 98, "avif": 90}
"""Default quality of the lossy formats, 1 to 100: a second compression must not show."""
LEAST_JPEG_QUALITY = 90
"""A JPEG is written with its own quality where that can be told, but not with less than this."""

Quality = int | Mapping[str, int]
"""Of files that are coded with loss, 1 to 100: one for all, or by format, such as {"jpeg": 85}."""

_TURNED_BY_TAG = ("jpeg", "png", "tiff", "webp")
_WITH_GREY = ("jpeg", "png", "tiff")
_WITH_CICP = ("png", "avif")
_COPIES = {"avif": 20}
"""So many pictures codecs hold while they encode one; where not said, 3."""
_LARGE = 64 << 20
"""A TIFF file of pictures of more bytes is written row by row."""
_VIPS_TYPES = {
    "uint8": "uchar", "uint16": "ushort", "float32": "float",
    "int8": "char", "int16": "short", "int32": "int", "uint32": "uint",
}  # fmt: skip


def write_photo(
    photo: Photo,
    target: Place | str,
    *,
    format: str | None = None,
    strip_metadata: bool = False,
    overwrite: bool = False,
    quality: Quality | None = None,
    preserve_times: bool = False,
    on_written: Callable[[Path], None] | None = None,
) -> tuple[str, ...]:
    """Write `photo` to `target`, a file or an object in a store; it appears whole or not at all.

    The format is `format`, else the one of target's suffix. Returns remarks on what that format cannot hold.
    The file gets the mode of the photo's own file, less what the umask withholds, and with `preserve_times`
    its time of modification. `on_written` is told of the complete file before it gets its name.
    Raises OutputError, naming the file, when it exists and `overwrite` is false, is the photo's own file,
    cannot be written, or its format cannot hold the photo.
    """
    target = place_of(target)
    if target == Path():
        raise OutputError("The name of the file to write is empty or names a folder.")
    kind = format or format_of_suffix(target)
    if kind is None or not _is_writable(kind):
        suffixes = ", ".join(sorted(WRITABLE_SUFFIXES))
        raise OutputError(f"{target}: not a format that can be written; use {suffixes}.")
    check_target(photo, target, overwrite=overwrite)
    data: bytes | Callable[[Path], None]
    if kind == "tiff" and photo.pixels.nbytes > _LARGE:
        data = partial(_write_tiff, photo, strip_metadata=strip_metadata, name=str(target))
    else:
        data = encode_photo(photo, kind, strip_metadata=strip_metadata, quality=quality, name=str(target))
    write_atomically(
        target,
        data,
        overwrite=overwrite,
        like=photo.stat,
        preserve_times=preserve_times,
        on_written=on_written,
    )
    return losses(photo, kind, strip_metadata=strip_metadata)


def encode_photo(
    photo: Photo,
    format: str | None = None,
    *,
    strip_metadata: bool = False,
    quality: Quality | None = None,
    name: str | None = None,
) -> bytes:
    """Encode `photo` as the content of a file, by default in the format it came in.

    Where the format stays, the pixels are stored turned as in the source and EXIF keeps its orientation tag;
    where it changes or EXIF is stripped they are stored upright with tag 1, as viewers look for the tag in
    some formats only. Raises OutputError when the format cannot hold the photo, OutOfMemoryError where memory
    is too short for it; `name` is what the message calls it.
    """
    kind = format or output_format(photo.format)
    if not _is_writable(kind):
        raise OutputError(f"{name or photo.name}: {kind} cannot be written.")
    name = name or photo.name
    refuse_unfit(photo, kind, name)
    asked = _quality_for(photo, kind, quality)
    with _encoding(kind, name):
        fitting, pixels, metadata = _stored(photo, kind, strip_metadata)
        require_room(_COPIES.get(kind, 3) * pixels.nbytes, name, "encode")
        return _encode(pixels, fitting, kind, metadata, asked)


def _write_tiff(photo: Photo, path: Path, *, strip_metadata: bool, name: str) -> None:
    """Write a TIFF file row by row: as a whole it may be as large as the picture."""
    refuse_unfit(photo, "tiff", name)
    with _encoding("tiff", name):
        fitting, pixels, metadata = _stored(photo, "tiff", strip_metadata)
        image, options = _for_tiff(_as_image(pixels), fitting, metadata)
        image.tiffsave(str(path), **options)
    with path.open("r+b") as file:
        tiff.add_metadata(file, metadata)


def _stored(photo: Photo, kind: str, strip_metadata: bool) -> tuple[Photo, Pixels, Metadata]:
    """The photo in colours that fit a format, its pixels as the file stores them, and its metadata."""
    photo = _with_fitting_colours(photo, kind)
    metadata = _metadata_for(photo, kind, strip_metadata)
    orientation = metadata.orientation if kind in _TURNED_BY_TAG else 1
    return photo, turn_stored(_bands_for(photo, kind), orientation), metadata


@contextmanager
def _encoding(kind: str, name: str) -> Iterator[None]:
    """Raise errors of this library where libvips fails."""
    try:
        with using_libvips():
            yield
    except OutOfMemoryError:
        raise
    except MemoryError as error:
        raise no_room(name, "encode") from error
    except libvips().Error as error:
        if is_shortage(error.detail):
            raise no_room(name, "encode") from error
        raise OutputError(f"{name}: cannot be encoded as {kind}{explain(error)}.") from error


def losses(photo: Photo, format: str, *, strip_metadata: bool = False) -> tuple[str, ...]:
    """Say what of `photo` a file of this format cannot hold, and what is converted for it."""
    notes = _range_remarks(photo, format)
    notes += _colour_remarks(photo, format)
    if not strip_metadata:
        too_long = jpeg.unfit(photo.metadata) if format == "jpeg" else ()
        notes += [f"{what} is too long for a JPEG and was left out" for what in too_long]
        if names := [name for name in _lost(photo, format) if name not in too_long]:
            notes.append(f"left out, as {format} has no place for it: {', '.join(names)}")
    return tuple(notes)


def holdings(photo: Photo, format: str | None = None, *, strip_metadata: bool = False) -> Inventory:
    """Name what the photo's file holds beside its pixels, and what of it a restored file will not hold.

    What `strip_metadata` takes out is neither kept nor named as left out, for that was asked for.
    """
    kind = format or output_format(photo.format)
    held = inventory.held(photo.metadata.colour_only() if strip_metadata else photo.metadata, photo.format)
    lost = () if strip_metadata else _lost(photo, kind)
    kept = tuple(name for name in held if name not in lost)
    return Inventory(kept, tuple(dict.fromkeys([*photo.left_out, *lost])))


def _lost(photo: Photo, kind: str) -> tuple[str, ...]:
    return inventory.lost(photo.metadata.for_new_pixels(), photo.format, kind)


def check_quality(quality: Quality | None) -> None:
    """Raise UsageError for a quality that is not a whole number from 1 to 100, or of no lossy format."""
    by_format = quality if isinstance(quality, Mapping) else {"": quality}
    for kind, value in by_format.items():
        if kind and kind not in QUALITY:
            raise UsageError(f"There is no quality of {kind!r} files, only of {', '.join(QUALITY)}.")
        whole = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100
        if value is not None and not whole:
            raise UsageError(f"The quality is a whole number from 1 to 100, got {value!r}.")


def refuse_unfit(photo: Photo, format: str, name: str) -> None:
    """Raise OutputError, calling the file `name`, when `format` cannot hold a picture like `photo`."""
    room = FORMATS[format].max_side
    if max(photo.size) > room:
        raise OutputError(
            f"{name}: {photo.size[0]} x {photo.size[1]} px, but a side in {format} has at most {room}; "
            "write it as png or tiff."
        )
    colours = photo.metadata.colours
    if colours and colours.unsayable and not photo.metadata.icc and format != photo.format:
        limited = colours.cicp is not None and not colours.cicp[3]
        if limited or format not in _WITH_CICP:
            ways = photo.format if limited else "png or avif"
            raise OutputError(f"{name}: {format} cannot state its {colours.unsayable}; write it as {ways}.")
    if not FORMATS[format].alpha and _is_translucent(photo):
        raise OutputError(f"{name}: {format} cannot hold the picture's transparency; write it as png.")


def _is_writable(kind: str) -> bool:
    return kind in FORMATS and FORMATS[kind].writable


def _is_translucent(photo: Photo) -> bool:
    return photo.alpha is not None and not (photo.alpha == _opaque(photo.alpha.dtype)).all()


def _opaque(depth: np.dtype[Any]) -> float:
    return 1.0 if np.issubdtype(depth, np.floating) else np.iinfo(depth).max


def _metadata_for(photo: Photo, kind: str, strip: bool) -> Metadata:
    metadata = photo.metadata.for_new_pixels()
    if strip:
        metadata = metadata.colour_only()
    if kind == photo.format:  # of a PIL image the orientation may not be applied yet
        return metadata if kind in _TURNED_BY_TAG else metadata.upright()
    return metadata.for_other_format(grey=photo.grey and kind in _WITH_GREY)


def _quality_for(photo: Photo, kind: str, quality: Quality | None) -> int:
    check_quality(quality)
    asked = quality.get(kind) if isinstance(quality, Mapping) else quality
    if asked is None and kind == "jpeg" and photo.quality:
        return max(photo.quality, LEAST_JPEG_QUALITY)
    return asked or QUALITY.get(kind, 0)


def _lacks_grey_profile(photo: Photo, kind: str) -> bool:
    """Whether the profile is one of grey pictures, and the format knows none."""
    return photo.grey and kind not in _WITH_GREY and is_grey_profile(photo.metadata.icc)


def _lacks_steps(photo: Photo, kind: str) -> bool:
    """Whether the curve of its colours needs more bits than the format has."""
    if kind == photo.format or FORMATS[kind].bits >= 16:
        return False
    if icc := photo.metadata.icc:
        fits = photo.grey or not is_grey_profile(icc)  # else it says nothing of the picture
        return fits and photo.bits > FORMATS[kind].bits and in_srgb_curve(icc) is not None
    colours = photo.metadata.colours
    return colours is not None and colours.is_steep and not colours.unsayable


def _range_remarks(photo: Photo, kind: str) -> list[str]:
    depth = _depth_for(photo, kind)
    bits = _avif_bits(photo, depth) if kind == "avif" else 8 * depth.itemsize
    if photo.samples:
        return (
            [] if _keeps_samples(photo.samples, kind) else [*describe_scaled(photo.samples, (1 << bits) - 1)]
        )
    if photo.bits > bits or (photo.bits == 32 and kind != "tiff"):
        source = "float" if photo.pixels.dtype == np.float32 else f"{photo.bits}-bit"
        return [f"{source} values were rounded to {bits} bits, the most {kind} holds"]
    return []


def _colour_remarks(photo: Photo, kind: str) -> list[str]:
    if _lacks_grey_profile(photo, kind):
        return [f"grey was converted from its colour profile to sRGB, as {kind} holds profiles of RGB alone"]
    if _lacks_steps(photo, kind):
        return [f"linear values were converted to the curve of sRGB, as {kind} has too few bits for them"]
    return []


def _with_fitting_colours(photo: Photo, kind: str) -> Photo:
    """The photo with pixels converted where the format cannot hold what they mean."""
    if _lacks_grey_profile(photo, kind):
        metadata = replace(photo.metadata, icc=None, colours=None)
        return replace(photo, pixels=_grey_in_srgb(photo), metadata=metadata)
    if _lacks_steps(photo, kind):
        return _in_srgb_curve(photo)
    return photo


def _in_srgb_curve(photo: Photo) -> Photo:
    """The photo with other values for the same colours, whose curve is that of sRGB."""
    metadata = photo.metadata
    if steep := in_srgb_curve(metadata.icc):
        icc, curves = steep
        metadata = replace(metadata, icc=icc)
    elif metadata.colours:
        colours, convert = metadata.colours.in_srgb_curve()
        metadata, curves = replace(metadata, colours=colours), (convert,)
    else:
        return photo
    channels = [
        _mapped(photo.pixels[..., channel], curves[min(channel, len(curves) - 1)]) for channel in range(3)
    ]
    return replace(photo, pixels=np.stack(channels, axis=2), metadata=metadata)


def _grey_in_srgb(photo: Photo) -> Pixels:
    """(H, W, 3) of a grey photo as sRGB, by its profile."""
    icc = photo.metadata.icc
    if curve := grey_to_srgb(icc):
        grey = _mapped(photo.pixels[..., :1], curve)
    else:
        depth = np.dtype(np.uint8 if photo.pixels.dtype == np.uint8 else np.uint16)
        image = _with_fields(_as_image(to_depth(photo.pixels[..., :1], depth)), Metadata(icc=icc))
        shown = image.icc_transform("srgb", embedded=True, intent="relative", depth=8 * depth.itemsize)
        grey = to_depth(shown.numpy()[..., 1:2], photo.pixels.dtype)
    return np.repeat(grey, 3, axis=2)


def _mapped(values: Pixels, curve: Curve) -> Pixels:
    """Values of any shape through a curve, in their own type."""
    if values.dtype == np.float32:
        return curve(values).astype(np.float32)
    steps = np.arange(np.iinfo(values.dtype).max + 1)
    return to_depth(curve(steps / steps[-1]), values.dtype)[values]


def _bands_for(photo: Photo, kind: str) -> Pixels:
    """(H, W, 1 to 4) upright, in the type and the channels that the file will have."""
    colour = photo.pixels[..., :1] if photo.grey else photo.pixels
    depth = _depth_for(photo, kind)
    alpha = photo.alpha
    if photo.samples and _keeps_samples(photo.samples, kind):
        colour, alpha = photo.samples.with_changes(colour), photo.samples.alpha
        depth = colour.dtype
    else:
        colour = to_depth(_without_holes(colour, photo.samples), depth)
    if alpha is None or not FORMATS[kind].alpha:
        return colour
    alpha = alpha if alpha.dtype == depth else to_depth(alpha, depth)
    return np.concatenate([colour, alpha[..., None]], axis=2)


def _keeps_samples(samples: Samples, kind: str) -> bool:
    """Whether a file of this format can store the numbers as they were."""
    depth = samples.stored.dtype
    return kind == "tiff" or depth == np.uint8 or (kind == "png" and depth == np.uint16)


def _without_holes(colour: Pixels, samples: Samples | None) -> Pixels:
    """Black where there is no picture, in a format that cannot say so."""
    if samples is None or samples.holes is None:
        return colour
    black: Pixels = np.where(samples.holes, 0, colour).astype(colour.dtype)
    return black


def _depth_for(photo: Photo, kind: str) -> np.dtype[Any]:
    room = FORMATS[kind].bits
    if room == 8:
        return np.dtype(np.uint8)
    if photo.pixels.dtype == np.float32 and room < 32:
        return np.dtype(np.uint16)
    return photo.pixels.dtype


def _encode(pixels: Pixels, photo: Photo, kind: str, metadata: Metadata, quality: int) -> bytes:
    image = _as_image(pixels)
    if kind == "jpeg":
        # Full-resolution chroma even where the source had less: what the network restored at colour edges
        # would be averaged away again: 2 to 3 dB at this quality, for a file a quarter smaller.
        # Codes that fit the picture make a file a little smaller, for which libjpeg holds all of it.
        free = free_memory()
        needed = JPEG_PIXEL_BYTES * image.width * image.height
        optimize = pixels.nbytes <= JPEG_LIMIT and (free is None or free > 2 * needed)
        data = image.jpegsave_buffer(Q=quality, subsample_mode="off", optimize_coding=optimize, keep="none")
        return jpeg.with_metadata(data, metadata)
    if kind == "png":
        return png.with_metadata(image.pngsave_buffer(filter="paeth", keep="none"), metadata)
    if kind == "tiff":
        return tiff.with_metadata(_encode_tiff(image, photo, metadata), metadata)
    if kind == "webp":
        data = _encode_webp(image, photo, metadata, quality)
        data = webp.with_exif(data, metadata.exif) if metadata.exif else data
        return webp.with_extras(data, metadata.extras, (image.width, image.height))
    data = _encode_avif(image, photo, metadata, quality)
    if metadata.colours and metadata.colours.cicp:
        stated = avif.with_nclx(data, *metadata.colours.cicp[:2])
        if stated is None and not (metadata.icc or metadata.colours.is_srgb):
            raise OutputError(f"{photo.name}: its colours cannot be stated in this AVIF; write it as png.")
        data = stated or data
    return avif.with_exif(data, metadata.exif) if metadata.exif else data


def _as_image(pixels: Pixels) -> Any:
    """(H, W, 1 to 4) as an image of libvips."""
    height, width, bands = pixels.shape
    image = libvips().Image.new_from_memory(
        np.ascontiguousarray(pixels).data, width, height, bands, _VIPS_TYPES[pixels.dtype.name]
    )
    colours = ("grey16", "rgb16") if pixels.dtype == np.uint16 else ("b-w", "srgb")
    return image.copy(interpretation=colours[0] if bands < 3 else colours[1])


def _for_tiff(image: Any, photo: Photo, metadata: Metadata) -> tuple[Any, dict[str, Any]]:
    """A libvips image with what it is to write, and how."""
    packing = (photo.compression if photo.format == "tiff" else "") or "deflate"
    # Differences of neighbours pack better, but only for integers.
    predictor = "none" if image.format == "float" or packing == "none" else "horizontal"
    options = {"compression": packing, "predictor": predictor, "keep": "xmp"}
    return _with_fields(image, metadata), options


def _encode_tiff(image: Any, photo: Photo, metadata: Metadata) -> bytes:
    image, options = _for_tiff(image, photo, metadata)
    return bytes(image.tiffsave_buffer(**options))


def _encode_webp(image: Any, photo: Photo, metadata: Metadata, quality: int) -> bytes:
    # WebP always halves its chroma unless lossless; the sharper way of doing so costs a little time.
    return bytes(
        _with_fields(image, metadata).webpsave_buffer(
            Q=quality,
            smart_subsample=True,
            lossless=photo.compression == "lossless",
            exact=True,
            alpha_q=100,
            keep=_kept(metadata),
        )
    )


def _encode_avif(image: Any, photo: Photo, metadata: Metadata, quality: int) -> bytes:
    bits = _avif_bits(photo, np.dtype(np.uint8 if image.format == "uchar" else np.uint16))
    return bytes(
        _with_fields(image, metadata).heifsave_buffer(
            Q=quality,
            compression="av1",
            bitdepth=bits,
            # AVIF codes transparency like a colour; only a lossless file keeps it as it was.
            lossless=_is_translucent(photo),
            subsample_mode="off",
            keep=_kept(metadata),
        )
    )


def _avif_bits(photo: Photo, depth: np.dtype[Any]) -> int:
    return 8 if depth == np.uint8 else min(photo.bits, FORMATS["avif"].bits)


def _with_fields(image: Any, metadata: Metadata) -> Any:
    """A copy of a libvips image with what libvips is to write."""
    image = image.copy()
    for name, value in (
        ("icc-profile-data", metadata.icc),
        ("exif-data", b"Exif\0\0" + metadata.exif if metadata.exif else None),
        ("xmp-data", metadata.xmp),
    ):
        if value:
            image.set_type(libvips().GValue.blob_type, name, value)
    return image


def _kept(metadata: Metadata) -> str:
    """Without EXIF it is not to make one up."""
    return "icc,xmp,exif" if metadata.exif else "icc,xmp"

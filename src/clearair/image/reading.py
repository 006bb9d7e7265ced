"""Read a photo from a file or bytes: refuse what is broken or too large, keep what must survive."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from clearair.errors import ClearAirError, ImageError, OutOfMemoryError, UsageError, brief
from clearair.image import bmp, extras, formats, unread
from clearair.image.damage import jpeg as jpeg_damage
from clearair.image.libvips import (
    alone,
    explain,
    forget_remarks,
    lacks_memory,
    libvips,
    no_room,
    quote,
    remarks,
    require_room,
)
from clearair.image.metadata import Metadata, avif, directories, inventory, jpeg, png, tiff, webp
from clearair.image.photo import Photo, Pixels, turn_upright
from clearair.image.samples import Samples, UnfitError, samples_of
from clearair.image.samples import describe as describe_samples
from clearair.stores import Address, Content, Place

DEFAULT_MAX_PIXELS = 300_000_000
"""Larger pictures are refused before they are decoded: no camera of today makes 300 megapixels."""

_LOADERS = {"jpeg": "jpeg", "png": "png", "tiff": "tiff", "webp": "webp", "avif": "heif", "gif": "gif"}
_STRICT = {"tiff": "error", "gif": "warning"}
"""What libvips is to take as damage where "truncated" is not enough, as it passes over missing strips."""
_COMPLETED: dict[str, Callable[[Metadata, bytes], Metadata]] = {
    "jpeg": jpeg.completed,
    "png": png.completed,
    "tiff": tiff.completed,
    "webp": webp.completed,
}
_SCIENTIFIC = ("tiff", "png", "jxl")
"""Formats that hold other numbers than those of photographs; PNG has only unused bits."""
_CONVERTED = ("lab", "labs", "labq", "xyz")
"""Colours that become sRGB of 16 bits."""
_DTYPES: dict[str, Any] = {
    "uchar": np.uint8, "ushort": np.uint16, "float": np.float32,
    "char": np.int8, "short": np.int16, "uint": np.uint32, "int": np.int32,
}  # fmt: skip
_ADDRESS = re.compile(r"[a-z][a-z0-9+]+:/+")
"""How an address such as https://host/photo.jpg begins, whose slashes a path may have lost."""
CheckSize = Callable[[int, int, int], None]
"""Is told width, height and bytes a pixel of a picture before it is decoded, and raises to refuse it."""

_LARGE = 64 << 20
"""A TIFF file of more bytes is read piece by piece: it may be as large as its pixels."""
_COPIES = 3
"""So many pictures are in memory while one is decoded: with its codec, and as rows and columns change."""
_BYTES_A_PIXEL = 16  # RGBA float, the most that is read
_SPARE_BYTES = 64 << 20  # what a small picture may carry beside its pixels


def read_photo(
    source: Place | Content | str | bytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    name: str | None = None,
    salvage: bool = False,
    check_size: CheckSize | None = None,
) -> Photo:
    """Read and check the whole picture in `source`, a path, an object in a store or a file's content.

    `name` is what messages call it (default: the path). The decode is complete when this returns: a damaged
    file raises instead of giving grey pixels, unless `salvage` asks for what can be decoded of it, with a
    note. `check_size` may refuse a picture before it is decoded. Raises ImageError naming the file, what is
    wrong and what to do, and OutOfMemoryError where memory is too short for it.
    """
    _check_limit(max_pixels)
    if isinstance(source, Address):
        source = fetch(source, max_pixels)
    if isinstance(source, Content):
        photo = read_photo(
            source.data,
            max_pixels=max_pixels,
            name=name or source.name,
            salvage=salvage,
            check_size=check_size,
        )
        return replace(photo, stat=source.facts.stat)
    if not isinstance(source, bytes | str | os.PathLike):
        raise UsageError(f"A picture file is a path or bytes, not {type(source).__name__}.")
    path = None if isinstance(source, bytes) else Path(source)
    if source == "":
        raise ImageError("The name of the picture is empty.")
    if path is not None and "\0" in str(path):
        raise ImageError(f"{str(path)!r}: a path cannot hold a NUL character.")
    name = name or (str(path) if path else "standard input")
    stat = _stat(path)
    try:
        photo = _read_source(source, _Origin(path, name, check_size), max_pixels, salvage)
        return replace(photo, stat=stat, content=source if isinstance(source, bytes) else None)
    except OutOfMemoryError:
        raise
    except MemoryError as error:
        raise no_room(name, "decode") from error


def fetch(address: Address, max_pixels: int = DEFAULT_MAX_PIXELS) -> Content:
    """An object that may be a picture of so many pixels. Raises ImageError."""
    try:
        facts = address.facts()
        _refuse_long(facts.size, str(address), max_pixels)
        return address.read(facts)
    except OSError as error:
        raise ImageError(f"{brief(str(address))}: cannot be read: {error.strerror or error}.") from error


def _stat(path: Path | None) -> os.stat_result | None:
    try:
        return None if path is None else path.stat()
    except OSError:
        return None  # reading it will say why


@dataclass(frozen=True)
class _Origin:
    """Where a picture comes from, and who is asked whether it is decoded."""

    path: Path | None
    name: str
    check_size: CheckSize | None


def _read_source(source: Path | str | bytes, origin: _Origin, max_pixels: int, salvage: bool) -> Photo:
    name = origin.name
    data = source if isinstance(source, bytes) else _read_file(Path(source), name, max_pixels)
    try:
        kind = _recognise(data, name, origin.path)
        readable = tiff.readable(data) if kind == "tiff" else data
        file = _Content(readable, kind, name, origin.path, origin.check_size)
        require_room(0, name, "decode")
        with alone():
            return _read_or_salvage(file, max_pixels, salvage)
    finally:
        if isinstance(data, directories.FileBytes):
            data.file.close()


def _read_or_salvage(file: _Content, max_pixels: int, salvage: bool) -> Photo:
    name = file.name
    try:
        return _read_whole(file, max_pixels)
    except _DamageError as error:
        if not salvage:
            raise ImageError(
                f"{error}. Copy it again from its source, or restore what is left of it with salvage=True."
            ) from error
        damage = str(error).removeprefix(f"{name}: ")
    nothing = "Nothing of it can be decoded; copy it again from its source."
    try:
        photo = _read(file, max_pixels, "none")
    except _DamageError as error:
        raise ImageError(f"{error}. {nothing}") from error
    if photo.pixels.min() == photo.pixels.max():
        raise ImageError(f"{name}: {damage}. {nothing}")
    notes = (f"{damage}; what could be decoded of it is restored", *photo.notes)
    return replace(photo, notes=notes, whole=False)


@dataclass(frozen=True)
class _Content:
    """A file in memory."""

    data: bytes
    kind: str
    name: str
    path: Path | None
    check_size: CheckSize | None = None

    def check(self, width: int, height: int, bands: int, sample_bytes: int) -> None:
        """Ask whether a picture of this size is to be decoded; grey ones get three channels."""
        if self.check_size is not None:
            self.check_size(width, height, sample_bytes * (4 if bands in (2, 4) else 3))


class _DamageError(ImageError):
    """A file is damaged or ends early; the message lacks what to do."""


def _read_whole(file: _Content, max_pixels: int) -> Photo:
    """Decode a file that lacks nothing, whatever harmless thing libjpeg has to say of a JPEG."""
    forget_remarks()
    if file.kind != "jpeg":
        return _read(file, max_pixels, _STRICT.get(file.kind, "truncated"))
    try:
        photo = _read(file, max_pixels, "warning")
    except _DamageError:
        photo = None

    def remark_on(data: bytes) -> str | None:
        forget_remarks()
        trial = replace(file, data=data)
        try:
            image = _open(trial, max_pixels, "warning")
            image.avg()
            # What is wrong in the last rows comes too late for an error.
            _refuse_remarks(trial)
        except _DamageError as error:
            return str(error)
        except libvips().Error as error:
            broken = _broken(trial, error.detail)
            if not isinstance(broken, _DamageError):
                raise broken from error
            return str(broken)
        return None

    if damage := jpeg_damage.find_damage(file.data, remark_on):
        known = damage.startswith(file.name)
        raise _DamageError(damage if known else f"{file.name}: the JPEG file is damaged ({damage})")
    return photo or _read(file, max_pixels, "none")


def _read(file: _Content, max_pixels: int, fail_on: str) -> Photo:
    """Decode a file; `fail_on` is what libvips takes as damage, "none" takes whatever can be decoded."""
    data, kind, name = file.data, file.kind, file.name
    if fail_on != "none" and (damage := _damage(data, kind)):
        raise _DamageError(f"{name}: the {kind.upper()} file is damaged ({damage})")
    if kind == "bmp":
        return _read_bmp(file, max_pixels)
    if formats.FORMATS[kind].extra:
        return _read_extra(file, max_pixels, fail_on)
    image = _open(file, max_pixels, fail_on)
    metadata = _read_metadata(data, kind, image)
    left_out = inventory.unkept(data, kind, metadata)
    notes = (*_notes(data, kind, image), *((f"left out: {', '.join(left_out)}",) if left_out else ()))
    if (frames := _count_frames(data, kind, image)) > 1:
        left_out = (f"{frames - 1} of {frames} {_frames_of(kind)}", *left_out)
    image, metadata, colour_notes = _in_rgb(image, metadata, name)
    stored = turn_upright(_decode(image, file, fail_on), metadata.orientation)
    colour, alpha, samples = _split(stored, file, converted=bool(colour_notes))
    return Photo(
        pixels=np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else colour,
        alpha=alpha,
        grey=colour.shape[2] == 1,
        format=kind,
        name=name,
        notes=(*notes, *colour_notes, *(describe_samples(samples) if samples else ())),
        path=file.path,
        metadata=metadata,
        bits=samples.bits if samples else _bits(image, colour.dtype),
        samples=samples,
        left_out=left_out,
        quality=jpeg.quality(data) if kind == "jpeg" else None,
        compression=_compression(data, kind),
    )


def _read_bmp(file: _Content, max_pixels: int) -> Photo:
    """Windows bitmaps, which this build of libvips does not read."""
    try:
        header = bmp.read_header(file.data)
    except bmp.UnsupportedError as error:
        raise ImageError(f"{file.name}: {error}. Save it as PNG first.") from error
    if header is None:
        raise _DamageError(f"{file.name}: the BMP file is damaged or ends early")
    _refuse_large(header.width, header.height, file.name, max_pixels)
    file.check(header.width, header.height, 4, 1)
    bands = bmp.decode(file.data, header)
    if bands is None:
        raise _DamageError(f"{file.name}: the BMP file is damaged or ends early")
    alpha = bands[..., 3] if bands.shape[2] == 4 else None
    return Photo(
        np.ascontiguousarray(bands[..., :3]),
        alpha=None if alpha is None else np.ascontiguousarray(alpha),
        format="bmp",
        name=file.name,
        path=file.path,
        metadata=Metadata(icc=bmp.embedded_profile(file.data), density=header.density),
    )


def _read_extra(file: _Content, max_pixels: int, fail_on: str) -> Photo:
    """Formats that a library of its own reads."""

    def check_size(width: int, height: int) -> None:
        _refuse_large(width, height, file.name, max_pixels)
        file.check(width, height, 3, 2)
        require_room(_COPIES * _BYTES_A_PIXEL // 2 * width * height, file.name, "decode")

    try:
        decoded = extras.decode(file.kind, file.data, check_size)
    except extras.BrokenError as error:
        raise _DamageError(
            f"{file.name}: the {file.kind.upper()} file is damaged, ends early or is of an unknown kind "
            f"({' '.join(str(error).split())[:120]})"
        ) from error
    if decoded.jpeg:
        inner = replace(file, data=decoded.jpeg, kind="jpeg")
        photo = _read_whole(inner, max_pixels) if fail_on != "none" else _read(inner, max_pixels, fail_on)
        return replace(photo, format=file.kind, metadata=photo.metadata.upright())
    colour, alpha, samples = _split(decoded.stored, file, converted=False)
    return Photo(
        pixels=np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else colour,
        alpha=alpha,
        grey=colour.shape[2] == 1,
        format=file.kind,
        name=file.name,
        notes=(
            *decoded.notes,
            *((f"left out: {', '.join(decoded.left_out)}",) if decoded.left_out else ()),
            *(describe_samples(samples) if samples else ()),
        ),
        path=file.path,
        metadata=decoded.metadata,
        bits=samples.bits if samples else decoded.bits,
        samples=samples,
        left_out=decoded.left_out,
    )


def _damage(data: bytes, kind: str) -> str | None:
    """Damage that libvips does not see."""
    if kind == "png" and (chunk := png.damaged_chunk(data)):
        return f"the checksum of its {chunk} chunk is wrong"
    return None


def _check_limit(max_pixels: int) -> None:
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int) or max_pixels < 1:
        raise UsageError(f"max_pixels is a number of pixels of at least 1, got {max_pixels!r}.")


def _read_file(path: Path, name: str, max_pixels: int) -> bytes:
    try:
        if path.is_dir():
            raise ImageError(f"{name}: a folder, not a picture.")
        if path.exists() and not path.is_file():
            raise ImageError(f"{name}: not a regular file; use `-` to read from standard input.")
        with path.open("rb") as file:
            head = file.read(formats.HEAD_BYTES)
            _recognise(head, name, path)
            size = os.fstat(file.fileno()).st_size
            _refuse_long(size, name, max_pixels)
            if size > _LARGE and formats.sniff(head) == "tiff":
                return cast(bytes, directories.FileBytes(path.open("rb")))  # nothing takes it as a whole
            file.seek(0)
            return file.read()
    except FileNotFoundError as error:
        what = "a link to a file that is not there" if path.is_symlink() else "no such file"
        if _ADDRESS.match(name):
            what = "an address, not a file on this machine; download it, or give its path"
        raise ImageError(f"{brief(name)}: {what}.") from error
    except OSError as error:
        raise ImageError(f"{brief(name)}: cannot be read: {error.strerror or error}.") from error


def _refuse_long(size: int, name: str, max_pixels: int) -> None:
    """Refuse a file of more bytes than a picture of so many pixels takes."""
    if size > max_pixels * _BYTES_A_PIXEL + _SPARE_BYTES:
        raise ImageError(
            f"{name}: {size / 1e9:.1f} GB are more than a picture of {max_pixels:,} pixels can take; "
            "raise the limit with max_pixels=N."
        )


def _recognise(data: bytes, name: str, path: Path | None) -> str:
    """Name the format of the file that starts with `data`."""
    head = data[: formats.HEAD_BYTES]
    if not head:
        raise ImageError(f"{name}: the file is empty.")
    kind = formats.sniff(head)
    if (path and path.suffix.lower() in formats.RAW_SUFFIXES) or (
        kind == "tiff" and tiff.is_camera_raw(data)
    ):
        kind = "raw"
    if kind is None:
        other = unread.describe(head)
        if other is None:
            raise ImageError(f"{name}: not a picture.")
        article = "an" if other[0] in "AEHIOX" and other != "HEIF or video" else "a"
        raise ImageError(
            f"{name}: {article} {other} file, which cannot be read. Save it as PNG, TIFF or JPEG first."
        )
    if hint := extras.install_hint(kind):
        what = {"raw": "camera raw", "heic": "HEIC", "jxl": "JPEG XL"}[kind]
        raise ImageError(f"{name}: a {what} file; {hint}. Or convert it to TIFF, PNG or JPEG first.")
    return kind


def _open(file: _Content, max_pixels: int, fail_on: str, page: int | None = None) -> Any:
    """Read the header only, and refuse what is too large while it has cost nothing."""
    data, kind, name = file.data, file.kind, file.name
    if kind == "avif":
        # GLib would print its own complaint about an absurd size; for other formats libvips looks first.
        _refuse_large(*avif.announced_size(data), name, max_pixels)
    vips = libvips()
    options: dict[str, Any] = {} if page is None else {"page": page}
    try:
        if isinstance(data, directories.FileBytes):
            load, data = vips.Image.tiffload_source, vips.Source.new_from_descriptor(data.file.fileno())
        else:
            load = getattr(vips.Image, f"{_LOADERS[kind]}load_buffer")
        image = load(data, access="sequential", fail_on=fail_on, **options)
    except vips.Error as error:
        raise _broken(file, error.detail) from error
    _refuse_large(image.width, image.height, name, max_pixels)
    sample_bytes = np.dtype(_DTYPES.get(image.format, np.float64)).itemsize
    file.check(image.width, image.height, image.bands, sample_bytes)
    size = image.width * image.height * image.bands * sample_bytes
    require_room(_COPIES * size, name, "decode")
    primary = _field(image, "heif-primary", 0)
    if page is None and primary:
        return _open(file, max_pixels, fail_on, page=primary)
    return image


def _refuse_large(width: int, height: int, name: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: {width} x {height} px are more than the limit of {max_pixels:,} pixels; "
            "raise it with max_pixels=N."
        )


def _decode(image: Any, file: _Content, fail_on: str) -> Pixels:
    """Decode every pixel, (H, W, bands) as stored.

    Decoders go on after errors that cost a tile or a row, whatever `fail_on` says: hence they are asked.
    """
    if image.format not in _DTYPES:
        raise ImageError(
            f"{file.name}: {image.format} samples are not supported. Save it with 8 or 16 bits a channel."
        )
    try:
        memory = image.write_to_memory()
    except libvips().Error as error:
        raise _broken(file, error.detail) from error
    if fail_on != "none":
        _refuse_remarks(file)
        if file.kind == "tiff" and (part := tiff.damaged_part(file.data)):
            raise _DamageError(f"{file.name}: the TIFF file is damaged (the checksum of its {part} is wrong)")
    stored = np.frombuffer(memory, _DTYPES[image.format]).reshape(image.height, image.width, image.bands)
    return avif.in_full_range(stored, file.data) if file.kind == "avif" else stored


def _refuse_remarks(file: _Content) -> None:
    """Raise what the decoder complained of without giving up."""
    if said := remarks():
        raise _broken(file, said)


def _broken(file: _Content, said: str) -> ClearAirError:
    """The error that fits what a decoder said."""
    if lacks_memory(said):
        return no_room(file.name, "decode")
    lacking = any(sign in said for sign in ("not configured", "not implemented"))
    if file.kind == "tiff" and (what := tiff.unsupported(file.data, lacks_codec=lacking)):
        return ImageError(f"{file.name}: {what} TIFF is not supported. Save it as a plain one first.")
    if file.kind == "jpeg" and (what := unread.jpeg_kind(file.data)):
        return ImageError(f"{file.name}: {what}, which is not read. Convert it to TIFF or PNG first.")
    return _DamageError(f"{file.name}: the {file.kind.upper()} file is damaged or ends early{quote(said)}")


def _read_metadata(data: bytes, kind: str, image: Any) -> Metadata:
    def field(name: str) -> bytes | None:
        return bytes(_field(image, name, b"")) or None

    metadata = Metadata(
        icc=field("icc-profile-data"),
        exif=(field("exif-data") or b"").removeprefix(b"Exif\0\0") or None,
        xmp=field("xmp-data"),
        density=(image.xres, image.yres) if image.get_typeof("resolution-unit") else None,
        iptc=field("iptc-data"),
        photoshop=field("photoshop-data"),
    )
    if kind in _COMPLETED:
        return _COMPLETED[kind](metadata, data)
    if kind == "avif":
        metadata = replace(metadata, colours=avif.colours(data))
    # The decoder has turned the pixels already, as HEIF keeps the turn outside EXIF.
    return metadata.upright()


def _in_rgb(image: Any, metadata: Metadata, name: str) -> tuple[Any, Metadata, tuple[str, ...]]:
    """Bring CMYK, Lab and XYZ to sRGB; RGB and grey stay in their own profile."""
    colours = str(image.interpretation)
    try:
        if colours == "cmyk":
            depth = 16 if image.format == "ushort" else 8
            image = image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=depth)
            profile = bytes(image.get("icc-profile-data"))
            return image, replace(metadata, icc=profile), ("CMYK was converted to sRGB",)
        if colours in _CONVERTED:
            image = image.colourspace("rgb16")
            space = "XYZ" if colours == "xyz" else "Lab"
            return image, replace(metadata, icc=None), (f"{space} was converted to sRGB with 16 bits",)
    except libvips().Error as error:
        raise ImageError(f"{name}: its colours cannot be converted to RGB{explain(error)}.") from error
    return image, metadata, ()


def _split(
    stored: Pixels, file: _Content, *, converted: bool
) -> tuple[Pixels, Pixels | None, Samples | None]:
    """Part (H, W, bands) into pixels (H, W, 1 or 3), alpha (H, W) or None, and what they stand for.

    Colours that were `converted` are no longer what the file stores.
    """
    bands = stored.shape[2]
    if bands > 4:
        raise ImageError(
            f"{file.name}: {bands} channels; at most four (red, green, blue, alpha) can be restored."
        )
    has_alpha = bands in (2, 4)
    colour, alpha = (stored[..., :-1], stored[..., -1]) if has_alpha else (stored, None)
    colour = np.ascontiguousarray(colour)
    alpha = None if alpha is None else np.ascontiguousarray(alpha)
    nodata = tiff.nodata(file.data) if file.kind == "tiff" else None
    try:
        own = file.kind in _SCIENTIFIC and not converted
        samples = samples_of(colour, alpha, nodata) if own else None
    except UnfitError as error:
        raise ImageError(f"{file.name}: {error}.") from error
    if samples is None:
        return colour, alpha, None
    pixels = samples.as_pixels()
    if alpha is not None and alpha.dtype != pixels.dtype:
        alpha = np.clip(alpha / np.iinfo(alpha.dtype).max, 0, 1).astype(np.float32)
    return pixels, alpha, samples


def _notes(data: bytes, kind: str, image: Any) -> tuple[str, ...]:
    """Say what is left out or stored differently."""
    notes: list[str] = []
    if (frames := _count_frames(data, kind, image)) > 1:
        notes.append(f"only the first of {frames} {_frames_of(kind)} is restored; the others are left out")
    bits = int(_field(image, "bits-per-sample", 8))
    if _field(image, "palette", 0) or (kind == "gif"):
        notes.append("palette colours are written as RGB")
    elif bits < 8 and image.format == "uchar":
        notes.append(f"{bits}-bit values are written as 8-bit")
    elif bits < 32 and image.format == "float" and str(image.interpretation) not in _CONVERTED:
        notes.append(f"{bits}-bit floats are written as 32-bit")
    return tuple(notes)


def _count_frames(data: bytes, kind: str, image: Any) -> int:
    count = {"png": png.count_frames, "avif": avif.count_frames}.get(kind)
    return count(data) if count else int(_field(image, "n-pages", 1))


def _frames_of(kind: str) -> str:
    return "pages" if kind == "tiff" else "frames"


def _bits(image: Any, dtype: np.dtype[Any]) -> int:
    """Bits a channel: those of AVIF's 10 and 12 bits, else those of the pixel type."""
    announced = int(_field(image, "bits-per-sample", 0))
    return announced if 8 < announced < 16 else dtype.itemsize * 8


def _compression(data: bytes, kind: str) -> str:
    if kind == "tiff":
        return tiff.compression(data)
    return "lossless" if kind == "webp" and webp.is_lossless(data) else ""


def _field(image: Any, name: str, default: Any) -> Any:
    return image.get(name) if image.get_typeof(name) else default

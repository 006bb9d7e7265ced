"""Encode pixels as the content of a file, by the encoder of each format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from clearair.errors import OutputError
from clearair.image.converting import avif_bits
from clearair.image.fitting import is_translucent
from clearair.image.libvips_images import as_image, with_fields
from clearair.image.metadata import Metadata, avif, jpeg, png, tiff, webp
from clearair.image.photo import Photo, Pixels
from clearair.memory import JPEG_LIMIT, JPEG_PIXEL_BYTES, free_memory


def encode(pixels: Pixels, photo: Photo, kind: str, metadata: Metadata, quality: int) -> bytes:
    """The content of a file with these pixels, (H, W, 1 to 4) as it stores them, and this metadata.

    `photo` is where they come from; `quality` is 1 to 100. Raises OutputError, and libvips' own errors.
    """
    image = as_image(pixels)
    if kind == "jpeg":
        # Full-resolution chroma even if the source had less: otherwise restored colour edges are averaged
        # away again, which costs 2 to 3 dB at this quality for a file a quarter smaller.
        # Optimised Huffman codes save a little space, but libjpeg then holds the whole picture.
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


def save_tiff(path: Path, pixels: Pixels, photo: Photo, metadata: Metadata) -> None:
    """Write a TIFF file row by row, without the metadata that `tiff.add_metadata` puts into it."""
    image, options = _for_tiff(as_image(pixels), photo, metadata)
    image.tiffsave(str(path), **options)


def _for_tiff(image: Any, photo: Photo, metadata: Metadata) -> tuple[Any, dict[str, Any]]:
    """A libvips image with its metadata and options for writing."""
    packing = (photo.compression if photo.format == "tiff" else "") or "deflate"
    # Horizontal differences compress better, but only for integers.
    predictor = "none" if image.format == "float" or packing == "none" else "horizontal"
    options = {"compression": packing, "predictor": predictor, "keep": "xmp"}
    return with_fields(image, metadata), options


def _encode_tiff(image: Any, photo: Photo, metadata: Metadata) -> bytes:
    image, options = _for_tiff(image, photo, metadata)
    return bytes(image.tiffsave_buffer(**options))


def _encode_webp(image: Any, photo: Photo, metadata: Metadata, quality: int) -> bytes:
    # WebP always halves its chroma unless lossless; the sharper way of doing so costs a little time.
    return bytes(
        with_fields(image, metadata).webpsave_buffer(
            Q=quality,
            smart_subsample=True,
            lossless=photo.compression == "lossless",
            exact=True,
            alpha_q=100,
            keep=_kept(metadata),
        )
    )


def _encode_avif(image: Any, photo: Photo, metadata: Metadata, quality: int) -> bytes:
    bits = avif_bits(photo, np.dtype(np.uint8 if image.format == "uchar" else np.uint16))
    return bytes(
        with_fields(image, metadata).heifsave_buffer(
            Q=quality,
            compression="av1",
            bitdepth=bits,
            # AVIF codes transparency like a colour; only a lossless file keeps it as it was.
            lossless=is_translucent(photo),
            subsample_mode="off",
            keep=_kept(metadata),
        )
    )


def _kept(metadata: Metadata) -> str:
    """Stop libvips from inventing EXIF if there is none."""
    return "icc,xmp,exif" if metadata.exif else "icc,xmp"

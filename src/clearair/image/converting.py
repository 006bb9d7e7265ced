"""Converts a photo to the colours, value types and channels that a format supports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from clearair.image.formats import FORMATS
from clearair.image.libvips_images import as_image, with_fields
from clearair.image.metadata import Metadata
from clearair.image.metadata.colours import is_grey_profile
from clearair.image.metadata.profiles import Curve, grey_to_srgb, in_srgb_curve
from clearair.image.photo import Photo, Pixels, to_depth, turn_stored
from clearair.image.samples import Samples

_TURNED_BY_TAG = ("jpeg", "png", "tiff", "webp")
_WITH_GREY = ("jpeg", "png", "tiff")


def as_stored(photo: Photo, kind: str, strip_metadata: bool) -> tuple[Photo, Pixels, Metadata]:
    """The photo in colours that fit a format, its pixels as the file stores them, and its metadata."""
    photo = _with_fitting_colours(photo, kind)
    metadata = _metadata_for(photo, kind, strip_metadata)
    orientation = metadata.orientation if kind in _TURNED_BY_TAG else 1
    return photo, turn_stored(_bands_for(photo, kind), orientation), metadata


def _metadata_for(photo: Photo, kind: str, strip: bool) -> Metadata:
    metadata = photo.metadata.for_new_pixels()
    if strip:
        metadata = metadata.colour_only()
    if kind == photo.format:  # of a PIL image the orientation may not be applied yet
        return metadata if kind in _TURNED_BY_TAG else metadata.upright()
    return metadata.for_other_format(grey=photo.grey and kind in _WITH_GREY)


def lacks_grey_profile(photo: Photo, kind: str) -> bool:
    """Whether the profile is a grey one, and the format supports only RGB profiles."""
    return photo.grey and kind not in _WITH_GREY and is_grey_profile(photo.metadata.icc)


def lacks_steps(photo: Photo, kind: str) -> bool:
    """Whether the curve of its colours needs more bits than the format has."""
    if kind == photo.format or FORMATS[kind].bits >= 16:
        return False
    if icc := photo.metadata.icc:
        fits = photo.grey or not is_grey_profile(icc)  # otherwise it does not describe the picture
        return fits and photo.bits > FORMATS[kind].bits and in_srgb_curve(icc) is not None
    colours = photo.metadata.colours
    return colours is not None and colours.is_steep and not colours.unsayable


def _with_fitting_colours(photo: Photo, kind: str) -> Photo:
    """The photo with pixels converted where the format cannot hold what they mean."""
    if lacks_grey_profile(photo, kind):
        metadata = replace(photo.metadata, icc=None, colours=None)
        return replace(photo, pixels=_grey_in_srgb(photo), metadata=metadata)
    if lacks_steps(photo, kind):
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
        image = with_fields(as_image(to_depth(photo.pixels[..., :1], depth)), Metadata(icc=icc))
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
    depth = depth_for(photo, kind)
    alpha = photo.alpha
    if photo.samples and keeps_samples(photo.samples, kind):
        colour, alpha = photo.samples.with_changes(colour), photo.samples.alpha
        depth = colour.dtype
    else:
        colour = to_depth(_without_holes(colour, photo.samples), depth)
    if alpha is None or not FORMATS[kind].alpha:
        return colour
    alpha = alpha if alpha.dtype == depth else to_depth(alpha, depth)
    return np.concatenate([colour, alpha[..., None]], axis=2)


def keeps_samples(samples: Samples, kind: str) -> bool:
    """Whether a file of this format can store the numbers as they were."""
    depth = samples.stored.dtype
    return kind == "tiff" or depth == np.uint8 or (kind == "png" and depth == np.uint16)


def _without_holes(colour: Pixels, samples: Samples | None) -> Pixels:
    """Set samples without data to black, for a format that cannot mark them."""
    if samples is None or samples.holes is None:
        return colour
    black: Pixels = np.where(samples.holes, 0, colour).astype(colour.dtype)
    return black


def depth_for(photo: Photo, kind: str) -> np.dtype[Any]:
    """The type of pixels that a file of this format is written from: uint8, uint16 or float32."""
    room = FORMATS[kind].bits
    if room == 8:
        return np.dtype(np.uint8)
    if photo.pixels.dtype == np.float32 and room < 32:
        return np.dtype(np.uint16)
    return photo.pixels.dtype


def avif_bits(photo: Photo, depth: np.dtype[Any]) -> int:
    """Bits a channel of an AVIF file that is written from pixels of this type."""
    return 8 if depth == np.uint8 else min(photo.bits, FORMATS["avif"].bits)

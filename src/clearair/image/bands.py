"""The channels of a decoded picture, split into colour and alpha, with the meaning of their values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clearair.errors import ImageError
from clearair.image.metadata import tiff
from clearair.image.photo import Pixels
from clearair.image.samples import Samples, UnfitError, describe, samples_of
from clearair.image.sources import PictureFile

_SCIENTIFIC = ("tiff", "png", "jxl")
"""Formats that may hold other values than photographs do; PNG has only unused bits."""


@dataclass(frozen=True, eq=False)
class Bands:
    """The channels of a picture as a photo stores them."""

    pixels: Pixels
    """(H, W, 3); a grey picture has three equal channels."""
    alpha: Pixels | None
    """(H, W); None = opaque."""
    grey: bool
    samples: Samples | None
    """What the file stores where that is not `pixels` themselves."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the user on the meaning of the values."""
        return describe(self.samples) if self.samples else ()


def split_bands(stored: Pixels, file: PictureFile, *, converted: bool) -> Bands:
    """Split (H, W, 1 to 4) into colour and alpha, and find out what the values mean.

    Colours that were `converted` are no longer what the file stores. Raises ImageError for pictures with more
    channels, and for values that cannot be displayed.
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
    if samples is not None:
        colour = samples.as_pixels()
        if alpha is not None and alpha.dtype != colour.dtype:
            alpha = np.clip(alpha / np.iinfo(alpha.dtype).max, 0, 1).astype(np.float32)
    grey = colour.shape[2] == 1
    return Bands(np.repeat(colour, 3, axis=2) if grey else colour, alpha, grey, samples)

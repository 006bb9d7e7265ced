"""Fingerprints by which copies of a photo are recognised: a small image, a thumbnail and SIFT features.

The features are scikit-image's (Lowe, 2004). Turning or resizing an image does not change them, but mirroring
does; so the mirrored image has features of its own. Needs the extra `data`.

Shapes: H x W of a small image, K features, D entries of a descriptor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.feature import SIFT
from skimage.transform import resize

from clearair.image import read_photo, to_depth
from clearair.similarity import BT601

Array = npt.NDArray[np.float32]

LONG_SIDE = 320
"""Longer side, in pixels, that every image is compared at."""
SHORT_SIDE = 16
"""Pixels of the shorter side at least."""
THUMBNAIL = 20
CONTRAST = 0.006
"""Contrast of the weakest feature; scikit-image's default, 0.013, finds few in dull images."""
CELLS = 3
DIRECTIONS = 6
"""Histograms of a descriptor; Lowe's 4 x 4 cells of 8 directions take twice as long to compare."""


@dataclass(frozen=True, eq=False)
class Features:
    """SIFT features of an image."""

    places: Array
    """(K, 2): x and y in pixels."""
    descriptors: Array
    """(K, D)."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What copies of a photo are recognised by."""

    path: Path
    image: Array
    """(H, W) luma in [0, 1], the longer side 320."""

    @cached_property
    def features(self) -> Features:
        """Of the image."""
        return _features(self.image)

    @cached_property
    def mirrored(self) -> Features:
        """Of the image mirrored left to right."""
        return _features(np.ascontiguousarray(self.image[:, ::-1]))

    @cached_property
    def thumbnail(self) -> Array:
        """(20, 20), the whole image, of mean 0 and norm 1; all 0 for an image of one colour."""
        small = resize(self.image, (THUMBNAIL, THUMBNAIL), anti_aliasing=True)
        centred = small - small.mean()
        return np.asarray(centred / max(np.linalg.norm(centred), 1e-3), np.float32)


def take_fingerprint(path: Path) -> Fingerprint:
    """Return the fingerprint of an image file. Raises ImageError when it cannot be read."""
    pixels = to_depth(read_photo(path).pixels, np.dtype(np.uint8))
    luma = pixels.astype(np.float32) @ np.array(BT601, np.float32) / 255
    scale = LONG_SIDE / max(luma.shape)
    size = [max(SHORT_SIDE, round(side * scale)) for side in luma.shape]
    fingerprint = Fingerprint(path, resize(luma, size, anti_aliasing=True).astype(np.float32))
    _ = fingerprint.features  # found while reading, so that the search only compares
    return fingerprint


def _features(image: Array) -> Features:
    """Return the features of (H, W) luma."""
    sift: Any = SIFT(upsampling=1, c_dog=CONTRAST, n_hist=CELLS, n_ori=DIRECTIONS)
    try:
        sift.detect_and_extract(image)
    except RuntimeError:  # found none
        return Features(np.zeros((0, 2), np.float32), np.zeros((0, CELLS**2 * DIRECTIONS), np.float32))
    return Features(sift.keypoints[:, ::-1].astype(np.float32), sift.descriptors.astype(np.float32))

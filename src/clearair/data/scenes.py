"""Photographs whose depth was measured, for haze that follows it.

Layout: `train/depth/SET/{image,depth}`, matched by stem; depth is a 16-bit PNG in any unit, 0 where nothing
was measured. A set whose name ends in `disparity` holds what is proportional to the inverse of depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from clearair.data.layouts import match_sets
from clearair.data.pixels import has_libvips, load_pixels
from clearair.errors import DataError, ImageError
from clearair.image.forking import using_libvips
from clearair.image.libvips import libvips

FARTHEST = 0.99
"""Quantile of the measured depths that counts as the farthest: beyond it lie errors."""
BORDER = 0.03
"""Share of a side that is cut off: depth cameras see less there than the camera beside them."""


@dataclass(frozen=True)
class Scene:
    """A photograph and how far away everything in it is."""

    photo: Tensor
    """(3, H, W) uint8."""
    depth: Tensor
    """(1, H, W) uint8: distance, 255 is the farthest; 0 nowhere."""


def find_scenes(data: Path) -> list[tuple[Path, Path]]:
    """(photograph, depth) files, sorted; empty when there are none.

    Raises DataError for a depth map without its photograph.
    """
    return [(photo, depth) for depth, photo in match_sets(data / "train" / "depth", "depth", "image")]


def load_scene(photo: Path, depth: Path) -> Scene:
    """Read both; depth that was not measured is filled in from around it. Raises DataError, ImageError."""
    pixels = load_pixels(photo)
    metres = measured_depth(depth)
    if metres.shape != pixels.shape[1:]:
        raise DataError(f"{depth}: is {metres.shape}, its picture {tuple(pixels.shape[1:])}.")
    measured = metres[metres > 0]
    if not len(measured):
        raise DataError(f"{depth}: holds no measured depth.")
    relative = torch.from_numpy(metres / np.quantile(measured, FARTHEST))[None, None].float()
    filled = fill_holes(relative.clamp(0, 1), relative > 0)[0]
    down, right = (round(BORDER * side) for side in metres.shape)
    inner = (slice(None), slice(down, -down or None), slice(right, -right or None))
    return Scene(pixels[inner].contiguous(), (filled[inner] * 255).round().clamp(1, 255).to(torch.uint8))


def measured_depth(path: Path) -> NDArray[np.float64]:
    """(H, W) of a file: distance in its own unit, 0 where it is not known. Raises ImageError."""
    if has_libvips():
        vips = libvips()
        try:
            with using_libvips():
                values = vips.Image.new_from_file(str(path))[0].numpy()
        except vips.Error as error:
            raise ImageError(f"{path}: the depth cannot be read: damaged, or not a picture.") from error
    else:
        from PIL import Image

        try:
            values = np.asarray(Image.open(path))
        except (OSError, ValueError) as error:
            raise ImageError(f"{path}: the depth cannot be read: damaged, or not a picture.") from error
    depth = np.asarray(values, dtype=np.float64).reshape(values.shape[:2])
    if path.parents[1].name.endswith("disparity"):
        depth = np.divide(1.0, depth, out=np.zeros_like(depth), where=depth > 0)
    return depth


def fill_holes(values: Tensor, known: Tensor) -> Tensor:
    """(1, 1, H, W) and a mask of it -> the same: unknown values become means of the nearest known ones.

    Means over 2 x 2 pixels, over 4 x 4 and so on, each used where no finer one exists.
    """
    weight = known.to(values)
    height, width = values.shape[-2:]
    if bool(known.all()) or max(height, width) == 1:
        return values
    padding = (0, width % 2, 0, height % 2)
    total = F.avg_pool2d(F.pad(values * weight, padding), 2)
    count = F.avg_pool2d(F.pad(weight, padding), 2)
    coarse = fill_holes(total / count.clamp_min(1e-6), count > 0)
    rough = F.interpolate(coarse, scale_factor=2, mode="bilinear")[..., :height, :width]
    return torch.where(known, values, rough)

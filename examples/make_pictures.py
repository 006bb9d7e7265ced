"""Make the pictures of the README and the docs: examples/degraded.jpg, and docs/images/KIND.jpg.

Each picture in docs/images shows a damaged photo (left) and its restoration (right). Run in an environment
with `.[test]`; existing pictures are replaced.
The sources are skimage's copies of "chelsea" (CC0), "coffee" (CC0) and "astronaut" (NASA, public domain).
"""

from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray

from clearair import Restorer
from clearair.degrading import degrade_photo
from clearair.image import Photo, write_photo

FOLDER = Path(__file__).parent
IMAGES = FOLDER.parent / "docs" / "images"
DEGRADED = (skimage.data.chelsea, ("rain", "noise"), 0.4, 3)
PAIRS = (
    ("noise", skimage.data.coffee, ("noise",), 0.6, 1),
    ("haze", skimage.data.coffee, ("haze",), 0.5, 3),
    ("rain", skimage.data.chelsea, ("rain",), 0.5, 3),
    ("lowlight", lambda: skimage.data.astronaut()[:300], ("lowlight",), 0.35, 4),
)
GAP = 8  # white pixels between before and after
SIZE = (300, 400)  # height and width of the middle that is shown


def main() -> None:
    """Write every picture."""
    source, kinds, strength, seed = DEGRADED
    damaged = degrade_photo(Photo(source()), kinds, strength=strength, seed=seed)
    write_photo(damaged, FOLDER / "degraded.jpg", overwrite=True, quality=90)
    restorer = Restorer.from_pretrained()
    for name, source, kinds, strength, seed in PAIRS:
        before = degrade_photo(Photo(middle(source())), kinds, strength=strength, seed=seed)
        after, *_ = restorer.restore_photo(before)
        sheet = Photo(beside(before.pixels, after.pixels))
        write_photo(sheet, IMAGES / f"{name}.jpg", overwrite=True, quality=88)


def middle(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle of a picture (H, W, 3), at most SIZE."""
    top, left = (max(0, side - wanted) // 2 for side, wanted in zip(picture.shape[:2], SIZE, strict=True))
    return np.ascontiguousarray(picture[top : top + SIZE[0], left : left + SIZE[1]])


def beside(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two pictures (H, W, 3) of one size as one (H, 2 W + gap, 3)."""
    gap = np.full((left.shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)


if __name__ == "__main__":
    main()

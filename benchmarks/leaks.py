"""Plant copies of training photographs among test pictures, and count how many the leak search finds.

    python benchmarks/leaks.py --data DATA --pictures 40

Copies are turned, mirrored, recompressed, resized, recoloured and cropped, crops at places drawn from a fixed
seed. All photographs below DATA/train/clean are searched, or every N-th, so that alarms about others than the
copied one count, too.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from command_line import parser_of
from PIL import Image

from clearair.data.fingerprints import take_fingerprint
from clearair.data.leaks import find_leaks
from clearair.data.photos import find_photos

Copy = Callable[[Image.Image, np.random.Generator], Image.Image]


def resized(image: Image.Image, scale: float) -> Image.Image:
    """The whole picture, smaller."""
    width, height = (round(side * scale) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def cropped(image: Image.Image, area: float, drawn: np.random.Generator) -> Image.Image:
    """A part of the same shape that covers a share of the area, anywhere."""
    width, height = (round(side * area**0.5) for side in image.size)
    left, top = drawn.integers(0, image.width - width + 1), drawn.integers(0, image.height - height + 1)
    return image.crop((int(left), int(top), int(left) + width, int(top) + height))


def recoloured(image: Image.Image) -> Image.Image:
    """Slightly brighter and warmer."""
    values = (np.asarray(image) / 255) ** 0.85 * np.array([1.05, 1.0, 0.92])
    return Image.fromarray((values.clip(0, 1) * 255).round().astype(np.uint8))


COPIES: dict[str, tuple[Copy, int | None]] = {
    "turned by 90 degrees": (lambda image, drawn: image.transpose(Image.Transpose.ROTATE_90), None),
    "mirrored": (lambda image, drawn: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), None),
    "JPEG of quality 30": (lambda image, drawn: image, 30),
    "half the size": (lambda image, drawn: resized(image, 0.5), None),
    "3/4 the size, JPEG of quality 75": (lambda image, drawn: resized(image, 0.75), 75),
    "cropped to 50 % of the area": (lambda image, drawn: cropped(image, 0.5, drawn), None),
    "cropped to 50 %, turned, JPEG of quality 75": (
        lambda image, drawn: cropped(image, 0.5, drawn).transpose(Image.Transpose.ROTATE_270),
        75,
    ),
    "cropped to 25 % of the area": (lambda image, drawn: cropped(image, 0.25, drawn), None),
    "cropped to 25 %, 3/4 the size": (lambda image, drawn: resized(cropped(image, 0.25, drawn), 0.75), None),
    "recoloured": (lambda image, drawn: recoloured(image), None),
    "recoloured, cropped to 50 %, mirrored, JPEG of quality 75": (
        lambda image, drawn: recoloured(cropped(image, 0.5, drawn)).transpose(
            Image.Transpose.FLIP_LEFT_RIGHT
        ),
        75,
    ),
}
"""How a copy is made, and with which quality it is kept as JPEG; None for PNG."""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds train/clean")
    parser.add_argument("--pictures", type=int, default=20, help="copied, spread evenly over all")
    parser.add_argument("--every", type=int, default=1, help="search every N-th photo and the copied ones")
    options = parser.parse_args()
    photos = find_photos(options.data / "train" / "clean")
    chosen = [
        photos[(2 * index + 1) * len(photos) // (2 * options.pictures)] for index in range(options.pictures)
    ]
    searched = sorted({*photos[:: options.every], *chosen})
    with tempfile.TemporaryDirectory() as folder:
        planted = plant(chosen, Path(folder))
        start = time.process_time()
        train = [take_fingerprint(path) for path in searched]
        test = [take_fingerprint(path) for path in planted]
        read = time.process_time()
        leaks = find_leaks(train, test)
        compared = time.process_time()
    found = {leak.test for leak in leaks if leak.train == planted[leak.test][0]}
    print("| copy | found |\n| --- | --- |")
    for name in COPIES:
        some = [path for path, (_, how) in planted.items() if how == name]
        print(f"| {name} | {sum(path in found for path in some)} of {len(some)} |")
    for path, (source, how) in planted.items():
        if path not in found:
            print(f"missed: {source}, {how}")
    false = [leak for leak in leaks if leak.train != planted[leak.test][0]]
    for leak in false:
        source, how = planted[leak.test]
        print(f"alarm: {leak.train} is said to show {source}, {how} ({leak.how}; {leak.agreement})")
    pairs = len(train) * len(test)
    print(f"{len(found)} of {len(planted)} copies found, {len(false)} other alarms in {pairs:,} pairs")
    print(f"{1000 * (read - start) / (len(train) + len(test)):.0f} ms to read a picture,", end=" ")
    print(f"{1000 * (compared - read) / pairs:.1f} ms to compare a pair")
    sys.exit(len(found) < len(planted))


def plant(photos: list[Path], folder: Path) -> dict[Path, tuple[Path, str]]:
    """Write all copies, and say of which photograph each is and how it was made."""
    planted = {}
    drawn = np.random.default_rng(0)
    for index, photo in enumerate(photos):
        with Image.open(photo) as opened:
            image = opened.convert("RGB")
        for number, (how, (copy, quality)) in enumerate(COPIES.items()):
            path = folder / f"{index}_{number}.{'png' if quality is None else 'jpg'}"
            made = copy(image, drawn)
            if quality is None:
                made.save(path)
            else:
                made.save(path, quality=quality)
            planted[path] = photo, how
    return planted


if __name__ == "__main__":
    main()

"""Measure the evidence for kinds of damage in pictures with and without them, for `perception/evidence.py`.

    python benchmarks/evidence.py --data DATA

For each set: how far haze, rain or snow, darkness and noise can be distinguished from their absence
(smallest, 5th percentile, median over its pictures). Photographs with the damage should have 1 in its column,
undamaged drawings 0. Takes about two minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from command_line import parser_of
from numpy.typing import NDArray

from clearair.data.plain import plain_pictures
from clearair.image import FORMATS, read_photo
from clearair.perception.compact.arrays import evident_in

KINDS = ("haze", "rain", "lowlight", "noise")
SETS = {
    "fog and haze": "named/haze",
    "rain": "named/rain",
    "snow": "named/snow",
    "drops on glass": "named/raindrop",
    "low light": "lowlight",
}


def shown(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(K,) evidence in one picture (H, W, 3)."""
    return evident_in(image, KINDS)


def photos(folder: Path, most: int) -> Iterator[NDArray[np.uint8]]:
    """Pixels of up to `most` photos below a folder, evenly chosen; no targets of pairs."""
    suffixes = {suffix for format in FORMATS.values() for suffix in format.suffixes}
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes]
    files = [path for path in files if "target" not in path.parts]
    for path in files[:: max(1, len(files) // most)][:most]:
        yield read_photo(path).pixels


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--most", type=int, default=80, help="photos of each set")
    options = parser.parse_args()
    print(f"| pictures | count | {' | '.join(KINDS)} |\n| --- | --- |{' --- |' * len(KINDS)}")
    for name, image in plain_pictures().items():
        print(f"| {name} | 1 | {' | '.join(f'{value:.2f}' for value in shown(image))} |")
    for name, folder in SETS.items():
        found = np.array([shown(image) for image in photos(options.data / "train" / folder, options.most)])
        low, few, middle = found.min(axis=0), np.percentile(found, 5, axis=0), np.median(found, axis=0)
        cells = (f"{a:.2f}, {b:.2f}, {c:.2f}" for a, b, c in zip(low, few, middle, strict=True))
        print(f"| {name} | {len(found)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

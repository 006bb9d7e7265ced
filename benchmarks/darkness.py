"""Measure the effect of brightening dark pictures for the segmenter, without SAM 2's weights.

    python benchmarks/darkness.py --data ../shared/data

Pairs of train/lowlight: the regions of the well-lit picture are the truth. Contrast is the mean step across
their borders, in the units the network sees (standard deviations of its training images). Agreement is the
adjusted Rand index of regions found in the dark picture with the truth; the embedded perceiver finds both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from command_line import parser_of
from numpy.typing import NDArray
from sample_pictures import to_array

from clearair.image import read_photo
from clearair.perception import load_compact
from clearair.perception.sam2 import MaskSettings
from clearair.perception.sam2.pixels import brighten, normalised, to_square

SIDE = 512


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds train/")
    parser.add_argument("--targets", type=float, nargs="+", default=[0.2, 0.3, 0.4, 0.5])
    options = parser.parse_args()
    perceiver, settings = load_compact(), MaskSettings()
    pairs = [
        (path, next((path.parent.parent / "target").glob(f"{path.stem}.*")))
        for path in sorted((options.data / "train" / "lowlight").glob("*/input/*"))
    ]
    rows: dict[str, list[tuple[float, float]]] = {}
    dark = 0
    for damaged, clean in pairs:
        square = to_square(read_photo(damaged).pixels, SIDE)
        if torch.equal(brighten(square, settings.dark, settings.brightened), square):
            continue
        dark += 1
        light = to_square(read_photo(clean).pixels, SIDE)
        truth = perceiver.perceive_image(to_array(light.clamp(0, 1))).labels
        versions = {"as it is": square, "its well-lit partner": light}
        versions |= {
            f"brightened to {target:g}": brighten(square, settings.dark, target) for target in options.targets
        }
        for name, version in versions.items():
            found = perceiver.perceive_image(to_array(version.clamp(0, 1))).labels
            rows.setdefault(name, []).append((border_contrast(version, truth), agreement(found, truth)))
    print(f"{dark} of {len(pairs)} pictures have a mean below {settings.dark:g}.\n")
    print("| the segmenter sees the dark picture | contrast | agreement | gain, with its standard error |")
    print("| --- | --- | --- | --- |")
    plain = np.array(rows["as it is"])[:, 1]
    for name, values in rows.items():
        contrast, agreed = np.mean(values, axis=0)
        gains = np.array(values)[:, 1] - plain
        error = gains.std(ddof=1) / np.sqrt(len(gains))
        print(f"| {name} | {contrast:.3f} | {agreed:.3f} | {gains.mean():+.3f} ± {error:.3f} |")


def border_contrast(square: torch.Tensor, labels: NDArray[np.uint8]) -> float:
    """Mean absolute difference of neighbours in different regions."""
    pixels, regions = normalised(square), torch.from_numpy(labels.astype(np.int16))
    across = (pixels[:, :, 1:] - pixels[:, :, :-1]).abs().mean(dim=0)[regions[:, 1:] != regions[:, :-1]]
    down = (pixels[:, 1:] - pixels[:, :-1]).abs().mean(dim=0)[regions[1:] != regions[:-1]]
    steps = torch.cat([across, down])
    return float(steps.mean()) if len(steps) else 0.0


def agreement(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Adjusted Rand index: 1 for the same partition, 0 for what chance gives."""
    table = np.zeros((int(one.max()) + 1, int(other.max()) + 1))
    np.add.at(table, (one.ravel(), other.ravel()), 1)

    def twos(counts: NDArray[np.float64]) -> float:
        return float((counts * (counts - 1) / 2).sum())

    rows, columns = twos(table.sum(axis=1)), twos(table.sum(axis=0))
    chance = rows * columns / twos(np.array([float(one.size)]))
    best = (rows + columns) / 2
    return 1.0 if best == chance else (twos(table) - chance) / (best - chance)


if __name__ == "__main__":
    main()

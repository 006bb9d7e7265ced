"""Fit the shipped NIQE model on the clean training photographs.

python tools/pristine.py --data ../shared/data --out src/clearair/evaluation/niqe_own.npz
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from clearair.data.photos import find_photos
from clearair.data.splits import held_out
from clearair.errors import DataError
from clearair.evaluation.metrics import Values
from clearair.evaluation.niqe import FEATURES, Pristine, block_features
from clearair.image import read_photo

SHARP = 0.75
"""Of a pristine photograph only blocks count whose sharpness exceeds this share of the sharpest one's."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds train/clean")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    options = parser.parse_args()
    paths, _ = held_out(options.data).split(find_photos(options.data / "train" / "clean"), "clean")
    model = fit_pristine(read_photo(path).pixels for path in paths)
    save_pristine(options.out, model)
    print(f"{len(paths)} photographs -> {options.out}, fingerprint {model.fingerprint}")


def save_pristine(path: Path, model: Pristine) -> None:
    """Write what `load_pristine` reads."""
    np.savez(path, mu_pris_param=model.mean[None], cov_pris_param=model.covariance)


def fit_pristine(photos: Iterable[Values]) -> Pristine:
    """A model of sharp photographs, each (H, W, 3) in 0..255. Raises DataError when there are too few."""
    rows = []
    for photo in photos:
        features, sharpness = block_features(photo)
        rows.append(features[sharpness > SHARP * sharpness.max()])
    blocks = np.concatenate(rows) if rows else np.empty((0, FEATURES))
    blocks = blocks[np.isfinite(blocks).all(1)]
    if len(blocks) <= FEATURES:
        raise DataError(f"{len(blocks)} sharp blocks are too few for a model of 36 features.")
    return Pristine(blocks.mean(0), np.cov(blocks, rowvar=False))


if __name__ == "__main__":
    main()

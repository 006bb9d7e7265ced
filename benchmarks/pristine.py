"""Fit the model of NIQE that ships with the package, on the clean photographs that are trained on.

python benchmarks/pristine.py --data ../shared/data --out src/clearair/evaluation/niqe_own.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

from clearair.data.photos import find_photos
from clearair.data.splits import held_out
from clearair.evaluation.niqe import fit_pristine, save_pristine
from clearair.image import read_photo


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


if __name__ == "__main__":
    main()

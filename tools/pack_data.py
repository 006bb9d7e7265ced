"""Training data in one small file: photographs as WebP, everything else as it is, in a tar.

For machines that are rented for minutes, where copying data costs as much as computing.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np

from clearair.errors import ClearAirError, DataError
from clearair.files.outputs import check_file
from clearair.image import SUFFIXES, read_photo, to_depth
from clearair.image.libvips import libvips
from clearair.placing import write_atomically
from clearair.similarity import decibels

QUALITIES = range(20, 101)
"""Of WebP."""
DARK_BONUS = 10
"""Extra quality for low-light pictures, since brightening amplifies their errors."""
SAMPLE = 60
"""Photographs by which the quality is searched, spread evenly over all of them."""


@dataclass(frozen=True)
class Packed:
    """The result of packing a data folder."""

    size: int
    """Bytes of the file."""
    files: int
    quality: int | None
    """Of WebP; None when every file fitted as it was."""
    lost: dict[str, tuple[float, ...]]
    """PSNR in dB of each photograph that was encoded anew, by the folder below `train` that it is in."""


@dataclass(frozen=True)
class _File:
    """One entry of the tar."""

    name: str
    """Such as `train/clean/BSD400/100039.jpg`."""
    content: bytes


def pack(data: Path, target: Path, *, megabytes: float, overwrite: bool = False) -> Packed:
    """Put everything below DATA/train into the tar `target` of at most so many million bytes.

    Photographs become WebP of the highest quality with which everything fits; a file that would not get
    smaller stays as it is, and so do region maps, depth, kernels and pairs of noise. If everything fits as it
    is, nothing is re-encoded.

    Raises DataError when there is nothing to pack or it does not fit, OutputError, and ImageError.
    """
    paths = _find(data)
    check_file(target, inputs=paths, overwrite=overwrite)
    limit = round(megabytes * 1e6)
    files = [_File(path.relative_to(data).as_posix(), path.read_bytes()) for path in paths]
    tar = _tar(files)
    quality, lost = None, dict[str, tuple[float, ...]]()
    if len(tar) > limit:
        # The files that the search did not look at may need more room than those it did.
        for quality in range(_search(files, limit), QUALITIES[0] - 1, -1):
            packed, lost = _encode_all(files, quality)
            tar = _tar(packed)
            if len(tar) <= limit:
                break
        else:
            raise DataError(f"{data}: cannot be packed into {megabytes:g} MB, but into {len(tar) / 1e6:.1f}.")
    write_atomically(target, tar, overwrite=overwrite)
    return Packed(len(tar), len(files), quality, lost)


def _find(data: Path) -> list[Path]:
    root = data / "train"
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    if not paths:
        raise DataError(f"{root}: there is nothing to pack here.")
    photos = [path.with_suffix("") for path in paths if _is_photo(path.relative_to(data).as_posix())]
    twice = next((one for one, other in pairwise(photos) if one == other), None)
    if twice is not None:
        raise DataError(f"{twice}: two pictures have this name and would become one file.")
    return paths


def _is_photo(name: str) -> bool:
    """Whether a path such as `train/rain/set/input/a.png` is a photograph that may lose something.

    That excludes maps of labels or depth, and pictures of camera noise, of which little would be left.
    """
    path = PurePosixPath(name)
    kept = path.parts[1] in ("regions", "noise") or path.parent.name == "depth"
    return path.suffix.lower() in SUFFIXES and not kept


def _search(files: Sequence[_File], limit: int) -> int:
    """The highest quality with which a sample of the photographs has its share of the bytes."""
    photos = [file for file in files if _is_photo(file.name)]
    rest = _tar([file if not _is_photo(file.name) else _File(file.name, b"") for file in files])
    step = max(1, len(photos) // SAMPLE)
    sample = photos[step // 2 :: step]
    share = sum(len(file.content) for file in sample) / max(1, sum(len(file.content) for file in photos))

    def fits(quality: int) -> bool:
        packed, _ = _encode_all(sample, quality)
        return sum(len(file.content) for file in packed) <= (limit - len(rest)) * share

    low, high = QUALITIES[0], QUALITIES[-1]
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _encode_all(files: Sequence[_File], quality: int) -> tuple[list[_File], dict[str, tuple[float, ...]]]:
    """The files as they are packed, and the PSNR of those that lost something, by folder."""
    lost: dict[str, list[float]] = {}

    def encode(file: _File) -> tuple[_File, float | None]:
        return _as_webp(file, quality) if _is_photo(file.name) else (file, None)

    packed = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, psnr in pool.map(encode, files):
            packed.append(file)
            if psnr is not None:
                lost.setdefault(_folder(file.name), []).append(psnr)
    return packed, {folder: tuple(values) for folder, values in lost.items()}


def _folder(name: str) -> str:
    """`clean`, or `rain/input` and its like."""
    path = PurePosixPath(name)
    return path.parts[1] if path.parts[1] == "clean" else f"{path.parts[1]}/{path.parent.name}"


def _as_webp(file: _File, quality: int) -> tuple[_File, float | None]:
    """A smaller file of the picture and what PSNR it has to the original, or the file itself and None."""
    if _folder(file.name) == "lowlight/input":
        quality = min(QUALITIES[-1], quality + DARK_BONUS)
    pixels = to_depth(read_photo(file.content, name=file.name).pixels, np.dtype(np.uint8))
    image = libvips().Image.new_from_array(np.ascontiguousarray(pixels))
    # Halving chroma with care costs time once, and gains 0.3 dB at the same size.
    # Call the operation by name: pyvips first looks up a method as a property, which libvips records as an
    # error for all threads, and a thread that decodes would take it for damage of its file.
    settings = {"Q": quality, "effort": 4, "smart_subsample": True, "keep": "none"}
    encoded = bytes(libvips().Operation.call("webpsave_buffer", image, **settings))
    if len(encoded) >= len(file.content):
        return file, None
    error = np.square(read_photo(encoded, name=file.name).pixels.astype(np.float32) - pixels).mean()
    psnr = decibels(float(error), peak=255)
    return _File(str(PurePosixPath(file.name).with_suffix(".webp")), encoded), psnr


def _tar(files: Sequence[_File]) -> bytes:
    """The same files make the same bytes: no times, no owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in files:
            entry = tarfile.TarInfo(file.name)
            entry.size = len(file.content)
            tar.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()


def main() -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the tar to write")
    parser.add_argument("--megabytes", type=float, default=45.0, help="its largest size (default: 45)")
    parser.add_argument("--overwrite", action="store_true", help="replace the output when it exists")
    options = parser.parse_args()
    try:
        packed = pack(options.data, options.output, megabytes=options.megabytes, overwrite=options.overwrite)
    except ClearAirError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    count = sum(map(len, packed.lost.values()))
    how = "as they are" if packed.quality is None else f"{count:,} as WebP of quality {packed.quality}"
    print(f"{options.output}: {packed.size / 1e6:.1f} MB, {packed.files:,} files, {how}")
    for name, values in packed.lost.items():
        mean = sum(values) / len(values)
        print(f"  {name}: PSNR to the originals {mean:.2f} dB on average, {min(values):.2f} at least")
    return 0


if __name__ == "__main__":
    sys.exit(main())

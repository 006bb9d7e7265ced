"""Feed damaged files to all readers, and count crashes, hangs and leaked memory.

    python benchmarks/fuzz.py --each 10000
    python benchmarks/fuzz.py --only heic raw --each 500 --first 2000
    python benchmarks/fuzz.py --only config weights recipe journal list --each 10000

Small files of every supported format are changed at random; each change has a number, by which it can be
repeated. Pictures are read in a child process as `clearair serve` reads uploads: each becomes a photo or is
refused with an ImageError. A model's files, recipes, journals and lists of files are read or refused with one
line, too. Anything else is a fault and printed with its number: another error, the end of the process, more
than ten seconds. Prints a table. Linux only.
"""

from __future__ import annotations

import argparse
import io
import os
import select
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from command_line import parser_of
from measuring import resident
from PIL import Image

HANG = 10.0
"""Time limit for a file in seconds, far above what these sizes need."""
_WORDS = (b"\0", b"\xff", b"\x7f\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0", b"\x01\0\0\0")
_PNG = b"\x89PNG\r\n\x1a\n"
_SETTLED = 200
"""Files after which a process has loaded what it needs."""


@dataclass
class Tally:
    """Results for the files of one format."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    growth: int = 0
    """Bytes of memory that were added after the first files."""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--each", type=int, default=10_000, help="files of each format")
    parser.add_argument("--first", type=int, default=0, help="number of the first change")
    parser.add_argument("--only", nargs="+", help="formats")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        read_all(options.child, options.first, options.each)
        return
    print(f"{'format':<8} {'files':>7} {'read':>7} {'refused':>7} {'faults':>6} {'MB more':>7} {'s':>6}")
    failed = False
    for name in options.only or [*samples(), *READERS]:
        began = time.monotonic()
        tally = fuzz(name, options.first, options.each)
        read, refused = tally.counts["read"], tally.counts["refused"]
        print(
            f"{name:<8} {read + refused + len(tally.faults):7,} {read:7,} {refused:7,} "
            f"{len(tally.faults):6} {tally.growth / 1e6:7.1f} {time.monotonic() - began:6.0f}",
            flush=True,
        )
        for fault in tally.faults:
            print(f"  {fault}", flush=True)
        failed = failed or bool(tally.faults)
    sys.exit(failed)


def fuzz(name: str, first: int, count: int) -> Tally:
    """Let a child read this many changed files of a format; another child continues where one ended."""
    tally, at = Tally(), first
    while at < first + count:
        command = [sys.executable, __file__, "--child", name, "--first", str(at)]
        command += ["--each", str(first + count - at)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        at = _follow(child, name, at, tally)
    return tally


def _follow(child: subprocess.Popen[bytes], name: str, at: int, tally: Tally) -> int:
    """Count the results of a child until it ends; the number of the file after the last."""
    assert child.stdout is not None
    settled = 0
    while True:
        ready, _, _ = select.select([child.stdout], [], [], 60 if at == 0 else HANG)
        line = child.stdout.readline().decode().split(maxsplit=2) if ready else []
        if not line:
            break
        at = int(line[0]) + 1
        if line[1] in ("read", "refused"):
            tally.counts[line[1]] += 1
        else:
            tally.faults.append(f"{name} {line[0]}: {' '.join(line[1:]).strip()}")
        if int(line[0]) % 50 == 0:
            now = resident(child.pid)
            done = tally.counts.total()
            settled = now if done <= _SETTLED or not settled else settled
            tally.growth = max(tally.growth, now - settled)
    hung = child.poll() is None and not ready
    child.kill()
    code = child.wait()
    if hung:
        tally.faults.append(f"{name} {at}: hangs")
        return at + 1
    if code not in (0, -9):
        tally.faults.append(f"{name} {at}: the process ended with {code}")
        return at + 1
    return at


def read_all(name: str, first: int, count: int) -> None:
    """The child: read changed files, and report the result of each."""
    from clearair.errors import ImageError
    from clearair.image import read_photo

    with tempfile.TemporaryDirectory() as folder:
        files = other_samples(name, Path(folder)) if name in READERS else samples()[name]
        for number in range(first, first + count):
            data = changed(files, number)
            try:
                if name in READERS:
                    word = read_other(name, Path(folder), data)
                else:
                    read_photo(data, max_pixels=4_000_000)
                    word = "read"
            except ImageError:
                word = "refused"
            except BaseException as error:
                word = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            os.write(1, f"{number} {word}\n".encode())


def read_other(name: str, folder: Path, data: bytes) -> str:
    """ "read" or "refused" for a file that is no picture; `folder` is that of `other_samples`."""
    from clearair.errors import ClearAirError

    try:
        READERS[name](folder, data)
    except ClearAirError as error:
        return "refused" if len(str(error).splitlines()) == 1 else f"lines: {str(error)!r}"
    return "read"


def other_samples(name: str, folder: Path) -> list[bytes]:
    """Small files of a kind that is no picture; what else it takes to read one is put into `folder`."""
    from safetensors.numpy import save

    from clearair.files.journal import Journal
    from clearair.files.outputs import Job
    from clearair.models import find_model

    config = (find_model("compact") / "config.json").read_bytes()
    weights = save({"a": np.zeros((3, 4), np.float16), "b": np.ones(5, np.float32)})
    if name in ("config", "weights"):
        (folder / "model").mkdir()
        (folder / "model" / "config.json").write_bytes(config)
        (folder / "model" / "model.safetensors").write_bytes(weights)
        return [config if name == "config" else weights]
    if name == "recipe":
        from clearair.training.recipes import get_recipe, to_toml

        return [to_toml(each, get_recipe(each)).encode() for each in ("compact", "perceivers")]
    if name == "journal":
        jobs = [Job(folder / f"{each}.jpg", folder / "out" / f"{each}.jpg") for each in range(40)]
        journal = Journal.create(folder / "made.db", jobs, {"overwrite": True})
        journal.claim(3, 1000, 5, b"input")
        journal.note_result(3, b"output")
        journal.close()
        return [(folder / "made.db").read_bytes()]
    return [b"a.jpg\nb/c.jpg\n\xc3\xa9.png\r\n", b"a.jpg\0b c.jpg\0", "\ufeffa.jpg\n".encode()]


def _read_model(folder: Path, data: bytes, *, file: str) -> None:
    from clearair.models.stored import read_model

    path = folder / "model" / file
    path.write_bytes(data)
    read_model(folder / "model")


def _read_recipe(folder: Path, data: bytes) -> None:
    from clearair.training.recipes import read_recipe

    path = folder / "recipe.toml"
    path.write_bytes(data)
    read_recipe(str(path))


def _read_journal(folder: Path, data: bytes) -> None:
    from clearair.files.journal import Journal

    path = folder / "run.db"
    for stale in folder.glob("run.db*"):
        stale.unlink()
    path.write_bytes(data)
    journal = Journal.open(path)
    try:
        _ = journal.options, journal.counts(), list(journal.entries())
        for entry in journal.next_open(5):
            journal.claim(entry.id, 1, 2, b"input")
            journal.note_result(entry.id, b"output")
        journal.requeue([1, 2])
    finally:
        journal.close()


def _read_list(folder: Path, data: bytes) -> None:
    from clearair.apps.cli.names import read_names

    path = folder / "names.txt"
    path.write_bytes(data)
    read_names(str(path), null=len(data) % 2 == 0)


READERS: dict[str, Callable[[Path, bytes], None]] = {
    "config": partial(_read_model, file="config.json"),
    "weights": partial(_read_model, file="model.safetensors"),
    "recipe": _read_recipe,
    "journal": _read_journal,
    "list": _read_list,
}
"""What reads files that are no pictures, by their kinds."""


def changed(files: list[bytes], number: int) -> bytes:
    """The change of this number: some bytes replaced, removed, repeated or swapped, or the end cut off."""
    draw = np.random.default_rng(number)
    data = bytearray(files[number % len(files)])
    for _ in range(int(draw.geometric(0.5))):
        # Headers are the beginning of most files, and where most goes wrong.
        reach = len(data) if draw.random() < 0.5 else min(len(data), 256)
        at, length = int(draw.integers(reach)), int(draw.integers(1, 33))
        kind = draw.integers(6)
        if kind == 0:
            data[at] ^= 1 << int(draw.integers(8))
        elif kind == 1:
            data[at : at + length] = draw.bytes(length)
        elif kind == 2:
            word = _WORDS[int(draw.integers(len(_WORDS)))]
            data[at : at + len(word)] = word
        elif kind == 3:
            del data[at : at + length]
        elif kind == 4:
            data[at:at] = data[at : at + length]
        elif draw.random() < 0.3:
            del data[at:]
        if not data:
            return b""
    return _checked(bytes(data)) if draw.random() < 0.7 else bytes(data)


def _checked(data: bytes) -> bytes:
    """A PNG with checksums that are right again, so that more than those is read; others as they are."""
    if not data.startswith(_PNG):
        return data
    parts, at = [_PNG], len(_PNG)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        parts += [data[at:end], zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")]
        at = end + 4
    return b"".join((*parts, data[at:]))


def samples() -> dict[str, list[bytes]]:
    """Small files of every format, some of each with what else it can hold."""
    draw = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 48)[None, :, None] + np.zeros((32, 1, 3))
    colour = (ramp + draw.normal(0, 10, ramp.shape)).clip(0, 255).astype(np.uint8)
    grey = colour[..., 1].copy()
    alpha = np.dstack([colour, grey])
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    full = {"exif": exif.tobytes(), "icc_profile": _profile()}
    wide = (grey.astype(np.uint16) << 8) + 7

    def encode(pixels: np.ndarray, kind: str, **options: object) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind, **options)
        return file.getvalue()

    made = {
        "jpeg": [
            encode(colour, "JPEG", quality=80, **full),
            encode(colour, "JPEG", progressive=True, subsampling=2),
            encode(grey, "JPEG"),
        ],
        "png": [encode(alpha, "PNG", **full), encode(grey, "PNG"), encode(wide, "PNG")],
        "tiff": [
            encode(colour, "TIFF", compression="tiff_deflate", **full),
            encode(colour, "TIFF", compression="tiff_lzw"),
            encode(wide, "TIFF"),
            encode(colour, "TIFF", compression="jpeg"),
        ],
        "webp": [encode(alpha, "WEBP", **full), encode(colour, "WEBP", lossless=True)],
        "avif": [encode(colour, "AVIF", **full), encode(alpha, "AVIF", quality=50)],
        "bmp": [encode(colour, "BMP"), encode(alpha, "BMP"), encode(grey, "BMP")],
        "gif": [encode(grey, "GIF"), encode(colour, "GIF")],
    }
    return {**made, **_extras(colour, exif.tobytes())}


def _extras(colour: np.ndarray, exif: bytes) -> dict[str, list[bytes]]:
    """Formats that need an extra."""
    import pillow_heif
    import pillow_jxl  # noqa: F401

    heic, jxl = io.BytesIO(), io.BytesIO()
    size = colour.shape[1], colour.shape[0]
    pillow_heif.from_bytes(mode="RGB", size=size, data=colour.tobytes()).save(heic, exif=exif)
    Image.fromarray(colour).save(jxl, "JXL")
    return {"heic": [heic.getvalue()], "jxl": [jxl.getvalue()], "raw": [dng(colour)]}


def dng(colour: np.ndarray) -> bytes:
    """A raw file of one exposure (H, W, 3), uint8: a mosaic of three colours, linear, from 64 to 4064."""
    import tifffile

    linear = (colour / 255.0) ** 2.2 * 4000 + 64
    mosaic = linear[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = linear[::2, ::2, 0], linear[1::2, 1::2, 2]
    matrix = 32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570  # XYZ to sRGB
    tags = [
        (33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True),
        (50706, "B", 4, (1, 4, 0, 0), True),
        (271, "s", 0, "Maker", True),
        (50708, "s", 0, "Camera", True), (50714, "H", 1, 64, True), (50717, "H", 1, 4064, True),
        (50721, "2i", 9, tuple(part for value in matrix for part in (value, 10000)), True),
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True), (50778, "H", 1, 21, True),
    ]  # fmt: skip
    file = io.BytesIO()
    tifffile.imwrite(file, mosaic.astype(np.uint16), photometric=32803, extratags=tags)
    return file.getvalue()


def _profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


if __name__ == "__main__":
    main()

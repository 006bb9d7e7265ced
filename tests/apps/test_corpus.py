"""Hundreds of damaged files in one batch: no traceback, no hang, and every result is a whole picture."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from skimage import data

from clearair.image import read_photo

PICTURE = data.coffee()[:48, :64]


def encoded(kind: str, mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PICTURE).convert(mode).save(file, kind, **options)
    return file.getvalue()


def originals() -> dict[str, bytes]:
    """One file of every kind that decodes differently, by a name with its suffix."""
    return {
        "plain.jpg": encoded("jpeg", quality=90),
        "progressive.jpg": encoded("jpeg", progressive=True),
        "grey.jpg": encoded("jpeg", "L"),
        "cmyk.jpg": encoded("jpeg", "CMYK"),
        "plain.png": encoded("png"),
        "palette.png": encoded("png", "P"),
        "alpha.png": encoded("png", "RGBA"),
        "raw.tif": encoded("tiff"),
        "lzw.tif": encoded("tiff", compression="tiff_lzw"),
        "deflate.tif": encoded("tiff", compression="tiff_deflate"),
        "lossy.webp": encoded("webp"),
        "lossless.webp": encoded("webp", "RGBA", lossless=True),
        "plain.avif": encoded("avif"),
        "plain.gif": encoded("gif", "P"),
        "plain.bmp": encoded("bmp"),
        "palette.bmp": encoded("bmp", "P"),
    }


def flipped(content: bytes, other: bytes, drawn: np.random.Generator) -> bytes:
    changed = bytearray(content)
    room = len(content) if drawn.random() < 0.5 else min(400, len(content))  # headers hold the traps
    for _ in range(drawn.integers(1, 9)):
        changed[drawn.integers(room)] = drawn.integers(256)
    return bytes(changed)


def cut(content: bytes, other: bytes, drawn: np.random.Generator) -> bytes:
    return content[: drawn.integers(len(content))]


def spliced(content: bytes, other: bytes, drawn: np.random.Generator) -> bytes:
    start, length = drawn.integers(len(content)), drawn.integers(1, 500)
    place = drawn.integers(len(other))
    return content[:start] + other[place : place + length] + content[start + length // 2 :]


def write_corpus(folder, count: int, seed: int = 0) -> None:
    drawn = np.random.default_rng(seed)
    files = originals()
    names = sorted(files)
    for number in range(count):
        name = names[number % len(names)]
        spoil = (flipped, cut, spliced)[number // len(names) % 3]
        other = files[names[drawn.integers(len(names))]]
        (folder / f"{number:04d}-{spoil.__name__}-{name}").write_bytes(spoil(files[name], other, drawn))


@pytest.mark.parametrize("salvage", [False, True])
@pytest.mark.parametrize("count", [48, pytest.param(480, marks=pytest.mark.slow)])
def test_damaged_files_are_named_or_restored_whole(tmp_path, model, count, salvage):
    (tmp_path / "in").mkdir()
    write_corpus(tmp_path / "in", count)
    options = ["--model", model, "--report", "report.json", "--max-pixels", "100000"]
    program = "from clearair.apps.cli import main; main()"
    arguments = ["restore", "in", "-o", "out", *options, *(["--salvage"] if salvage else [])]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], cwd=tmp_path, capture_output=True, timeout=280
    )
    said = done.stderr.decode()
    assert done.returncode == 1, said
    assert "Traceback" not in said
    assert "unexpected" not in said
    records = json.loads((tmp_path / "report.json").read_text())
    assert len(records) == count
    restored = [record for record in records if record["output"]]
    assert len(restored) > (count // 4 if salvage else 0)
    for record in restored:
        size = (record["width"], record["height"])
        assert read_photo(tmp_path / record["input"], salvage=salvage, max_pixels=100_000).size == size
        assert read_photo(tmp_path / record["output"]).size == size
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {record["output"].removeprefix("out/") for record in restored}

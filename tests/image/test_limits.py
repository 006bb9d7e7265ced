"""Pictures that are too large are refused before anything large is allocated."""

import struct
import zlib

import pytest
from tests.image.pictures import encoded, refusal

from clearair.errors import UsageError
from clearair.image import DEFAULT_MAX_PIXELS, read_photo


def huge_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def huge_jpeg(width: int, height: int) -> bytes:
    content = bytearray(encoded("jpeg"))
    at = content.index(b"\xff\xc0")
    struct.pack_into(">HH", content, at + 5, height, width)
    return bytes(content)


def huge_tiff(width: int, height: int) -> bytes:
    content = bytearray(encoded("tiff"))
    for index in range(int.from_bytes(content[8:10], "little")):
        at = 10 + 12 * index
        size = {256: width, 257: height}.get(int.from_bytes(content[at : at + 2], "little"))
        if size:
            struct.pack_into("<HII", content, at + 2, 4, 1, size)
    return bytes(content)


def huge_avif(width: int, height: int) -> bytes:
    content = bytearray(encoded("avif"))
    struct.pack_into(">II", content, content.index(b"ispe") + 8, width, height)
    return bytes(content)


@pytest.mark.parametrize("make", [huge_png, huge_jpeg, huge_tiff, huge_avif])
def test_a_huge_size_in_the_header_is_refused(tmp_path, make):
    path = tmp_path / "huge"
    path.write_bytes(make(30_000, 30_000))
    message = refusal(path)
    assert message.startswith(f"{path}: 30000 x 30000 px are more than the limit of 300,000,000 pixels")
    assert "max_pixels=" in message


def test_the_refusal_of_a_huge_picture_takes_no_memory():
    resource = pytest.importorskip("resource")
    read_photo(encoded("png"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refusal(huge_png(30_000, 30_000))
    refusal(huge_jpeg(30_000, 30_000))
    refusal(huge_tiff(30_000, 30_000))
    assert "damaged" in refusal(huge_jpeg(17_000, 17_000))  # below the limit, but it has no such pixels
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB; the picture has 2.7 GB


def test_the_limit_is_adjustable():
    content = encoded("png")
    assert "160 x 120 px" in refusal(content, max_pixels=160 * 120 - 1)
    assert read_photo(content, max_pixels=160 * 120).size == (160, 120)
    assert DEFAULT_MAX_PIXELS < 30_000 * 30_000


def test_a_file_far_larger_than_its_picture_may_be_is_not_loaded(tmp_path):
    path = tmp_path / "sparse.tif"
    path.write_bytes(encoded("tiff"))
    with path.open("r+b") as file:
        file.truncate(200 << 20)
    assert "0.2 GB are more than a picture of 20,000 pixels can take" in refusal(path, max_pixels=20_000)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "x", None, True])
def test_a_limit_that_makes_no_sense_is_refused(limit):
    with pytest.raises(UsageError, match="max_pixels"):
        read_photo(encoded("png"), max_pixels=limit)


def test_an_absurd_size_and_undecodable_messages_stay_silent(capfd):
    for make in (huge_png, huge_tiff, huge_avif):
        refusal(make(0x6E000028, 40))
    assert "PNG file is damaged" in refusal(encoded("png").replace(b"IDAT", b"\xff\xfe\xffT"))
    assert capfd.readouterr().err == ""

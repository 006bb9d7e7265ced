"""Damaged files are refused, or salvaged, and what is whole is not taken for damaged."""

import io
import logging
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data
from tests.image.pictures import COFFEE, encoded, refusal

from clearair.errors import ImageError
from clearair.image import FORMATS, encode_photo, read_photo
from clearair.image.libvips import libvips

KINDS = [name for name, each in FORMATS.items() if not each.extra]
CONTENTS = {kind: encoded(kind, COFFEE[:24, :32]) for kind in KINDS}


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp", "avif", "gif"])
def test_a_truncated_file_is_an_error_not_grey_pixels(tmp_path, kind, kept):
    content = encoded(kind)
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(content[: int(len(content) * kept)])
    assert refusal(path).startswith(f"{path}: the {kind.upper()} file is damaged or ends early")


@pytest.mark.parametrize("options", [{"progressive": True}, {"quality": 100}])
def test_a_truncated_progressive_jpeg(options):
    content = encoded("jpeg", **options)
    assert "ends early" in refusal(content[: len(content) // 2], name="cut.jpg")


def with_hole(content: bytes, size: int) -> bytes:
    at = len(content) * 3 // 5
    return content[:at] + bytes(size) + content[at + size :]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2] + b"\xff\xd9",
        lambda content: content[:-60] + b"\xff\xd9",
        lambda content: with_hole(content, 1000),
    ],
    ids=["cut, with an end marker", "cut late", "hole of zeros"],
)
def test_a_jpeg_that_lacks_data_before_its_end_is_an_error(spoil, progressive):
    content = encoded("jpeg", quality=90, progressive=progressive)
    assert "JPEG file is damaged" in refusal(spoil(content))


def test_a_small_hole_of_zeros_in_a_jpeg_is_found():
    content = with_hole(encoded("jpeg", quality=90), 64)
    assert said_by_libvips(content, fail_on="warning") == ""
    assert "filled with zeros" in refusal(content)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}])
def test_a_flat_jpeg_is_not_taken_for_damaged(value, options):
    flat = np.full((900, 900, 3), value, np.uint8)
    assert read_photo(encoded("jpeg", flat, **options)).size == (900, 900)


HARMLESS = {
    "odd version": lambda content: content.replace(b"JFIF\0\1\1", b"JFIF\0\3\1"),
    "stray bytes": lambda content: content.replace(b"\xff\xdb", b"\x11\x22\x33\xff\xdb", 1),
    "padding": lambda content: content[:-2] + bytes(40) + content[-2:],
}


@pytest.mark.parametrize("remark", HARMLESS)
@pytest.mark.parametrize("options", [{}, {"optimize": True, "quality": 30}, {"progressive": True}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_damage_after_a_harmless_remark_is_found(remark, options, mode):
    whole = HARMLESS[remark](
        encoded("jpeg", np.asarray(Image.fromarray(data.coffee()).convert(mode)), **options)
    )
    assert read_photo(whole).size == (600, 400)
    for spoilt in (whole[: len(whole) // 2] + b"\xff\xd9", with_hole(whole, 600)):
        assert "salvage=True" in refusal(spoilt)
        photo = read_photo(spoilt, salvage=True)
        assert photo.size == (600, 400)
        assert "damaged" in photo.notes[0]


def test_a_grey_jpeg_that_lacks_data_in_its_last_rows_only_is_an_error():
    content = encoded("jpeg", data.camera(), quality=75)
    assert "ends early" in refusal(content[:-20] + b"\xff\xd9")


def test_a_progressive_jpeg_without_its_last_scans_is_an_error():
    content = progressive_jpeg()
    second = content.index(b"\xff\xc4", content.index(b"\xff\xda"))
    content = content[:second] + b"\xff\xd9"
    assert said_by_libvips(content, fail_on="warning") == ""
    assert "last scans are missing" in refusal(content)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("quality", [10, 50, 95])
def test_smooth_pictures_are_not_taken_for_holes(mode, quality):
    down, across = np.mgrid[:700, :1100]
    for values in (down * 255 // 700, across * 255 // 1100, across // 40 + down // 40, down * 0 + 255):
        image = np.asarray(Image.fromarray(values.astype(np.uint8)).convert(mode))
        for options in ({"optimize": True}, {"progressive": True}):
            assert read_photo(encoded("jpeg", image, quality=quality, **options)).size == (1100, 700)


def test_what_costs_a_jpeg_no_pixels_does_not_stop_it():
    content = encoded("jpeg")
    odd_version = content.replace(b"JFIF\0\1\1", b"JFIF\0\3\1")
    assert odd_version != content
    np.testing.assert_array_equal(read_photo(odd_version).pixels, read_photo(content).pixels)


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff"])
def test_salvage_takes_what_can_be_decoded_and_says_so(tmp_path, kind):
    path = tmp_path / f"cut.{kind}"
    content = encoded(kind, **({"compression": "raw"} if kind == "tiff" else {}))
    path.write_bytes(content[: len(content) * 4 // 5])
    assert "salvage=True" in refusal(path)
    photo = read_photo(path, salvage=True)
    assert photo.size == (160, 120)
    np.testing.assert_array_equal(photo.pixels[:16], read_photo(content).pixels[:16])
    assert "damaged" in photo.notes[0]
    assert read_photo(content, salvage=True).notes == ()


def test_salvage_of_nothing_is_an_error():
    message = refusal(encoded("png")[:20], salvage=True)
    assert "Nothing of it can be decoded" in message


def with_checksum_off(content: bytes, chunk: bytes) -> bytes:
    at = content.index(chunk)
    end = at + 4 + int.from_bytes(content[at - 4 : at], "big")
    return content[:end] + bytes(4) + content[end + 4 :]


@pytest.mark.parametrize("chunk", [b"IHDR", b"PLTE", b"IDAT"])
def test_a_png_with_a_wrong_checksum_is_an_error(chunk):
    file = io.BytesIO()
    Image.fromarray(COFFEE).quantize(16).save(file, "png")
    content = with_checksum_off(file.getvalue(), chunk)
    assert said_by_libvips(content) == ""
    assert f"checksum of its {chunk.decode()} chunk" in refusal(content)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate", "jpeg"])
def test_a_tiff_with_a_damaged_middle_or_end(compression):
    content = encoded("tiff", compression=compression)
    assert "TIFF file is damaged" in refusal(content[: len(content) // 2])


def test_a_png_with_a_flipped_bit():
    content = bytearray(encoded("png"))
    content[len(content) // 2] ^= 1
    assert "PNG file is damaged" in refusal(bytes(content))


@pytest.mark.parametrize("kind", ["gif", "webp", "tiff", "png", "avif"])
def test_of_several_frames_the_first_is_read_and_the_others_are_counted(kind):
    frames = [
        Image.fromarray(np.roll(COFFEE, 40 * index, axis=1)).quantize(64).convert("RGB") for index in range(3)
    ]
    file = io.BytesIO()
    options = {"webp": {"lossless": True}, "avif": {"quality": 100}}.get(kind, {})
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], **options)
    photo = read_photo(file.getvalue())
    what = "pages" if kind == "tiff" else "frames"
    assert f"only the first of 3 {what} is restored; the others are left out" in photo.notes
    off = np.abs(photo.pixels.astype(int) - np.asarray(frames[0])).max()
    assert off <= (60 if kind == "avif" else 0)  # AVIF halves the chroma; the next frame is off by far more


def tiff_of(pixels: np.ndarray, **options) -> bytes:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def with_tag(content: bytes, number: int, value: int) -> bytes:
    """A little-endian TIFF with another value in one of its SHORT tags."""
    first, name = int.from_bytes(content[4:8], "little") + 2, struct.pack("<H", number)
    at = next(at for at in range(first, len(content), 12) if content[at : at + 2] == name)
    return content[: at + 8] + struct.pack("<H", value) + content[at + 10 :]


def test_a_damaged_file_that_asks_for_absurd_memory_is_called_damaged():
    content = bytearray(encoded("tiff"))
    content[4] += 1  # its directory is read a byte off
    assert "TIFF file is damaged" in refusal(bytes(content))


def said_by_libvips(content: bytes, fail_on: str = "truncated") -> str:
    """What plain libvips says of a file; nothing when it takes it for a picture."""
    try:
        libvips().Image.new_from_buffer(content, "", fail_on=fail_on).avg()
    except libvips().Error as error:
        return str(error)
    return ""


def test_a_valid_tiff_that_is_not_read_is_not_called_damaged():
    plain = tiff_of(COFFEE, photometric="rgb")
    grey = tiff_of(COFFEE[..., 0], photometric="minisblack")
    planes = np.ascontiguousarray(np.moveaxis(COFFEE, 2, 0))
    for content, what in (
        (with_tag(grey, 258, 12), "12-bit"),
        (with_tag(plain, 259, 34925), "LZMA-compressed"),
        (with_tag(plain, 259, 50000), "Zstandard-compressed"),
        (with_tag(plain, 259, 6), "old-style JPEG-compressed"),
        (tiff_of(COFFEE / 255, photometric="rgb"), "64-bit float"),
        (tiff_of(COFFEE, photometric="cielab"), "8-bit Lab"),
        (tiff_of(planes, photometric="rgb", planarconfig="separate", tile=(32, 32)), "planar tiled"),
        (tiff_of(COFFEE[..., 0].astype(np.complex64), photometric="minisblack"), "complex-number"),
    ):
        assert f"photo: {what} TIFF is not supported" in refusal(content, name="photo")
        assert what not in said_by_libvips(content)


def test_a_damaged_tiff_of_a_compression_that_is_read_is_called_damaged():
    content = with_tag(tiff_of(COFFEE, photometric="rgb"), 259, 50001)  # its pixels are no WebP
    assert "TIFF file is damaged" in refusal(content)


def test_broken_exif_does_not_stop_a_good_picture():
    for exif in (
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0nonsense",
        b"Exif\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
    ):
        photo = read_photo(encoded("jpeg", exif=exif))
        assert photo.metadata.orientation == 1


@example(kind="avif", edits=[(0.71875, 1)], in_header=False)  # colours beyond one byte
@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
    in_header=st.booleans(),
)
def test_damage_anywhere_gives_a_picture_or_a_refusal(kind, edits, in_header):
    content = bytearray(CONTENTS[kind])
    room = min(400, len(content)) if in_header else len(content)
    for place, value in edits:
        content[int(place * room)] = value
    try:
        photo = read_photo(bytes(content), max_pixels=1_000_000)
    except ImageError:
        return
    assert read_photo(encode_photo(photo, "png")).size == photo.size


def test_libvips_does_not_talk_to_the_user(capfd, caplog):
    caplog.set_level(logging.CRITICAL)
    for kind in ("jpeg", "png", "tiff"):
        content = encoded(kind)
        refusal(content[: len(content) // 2])
    assert capfd.readouterr().err == ""


def test_importing_needs_neither_libvips_nor_torch():
    code = "import sys, clearair.image, clearair.files.batch; print({'pyvips', 'torch'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def progressive_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(COFFEE).save(buffer, "JPEG", quality=80, progressive=True)
    return buffer.getvalue()


def with_stray_bytes(data: bytes) -> bytes:
    """Before the second scan: libjpeg remarks on them, and no pixel is lost."""
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    return data[:second] + b"\x11\x22\x33\x44" + data[second:]


def test_what_one_file_caused_is_not_held_against_the_next():
    whole = progressive_jpeg()
    broken = whole[: whole.rindex(b"\xff\xda") + 40] + b"\xff\xd9"
    with pytest.raises(ImageError, match="damaged or ends early"):
        read_photo(broken)
    read_photo(broken, salvage=True)
    assert read_photo(with_stray_bytes(whole)).size == (160, 120)

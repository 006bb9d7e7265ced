"""Every way a picture can be unfit: one line that names the file, before anything large is allocated."""

import io
import logging
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from clearair.errors import ImageError, UsageError
from clearair.image import DEFAULT_MAX_PIXELS, FORMATS, SUFFIXES, encode_photo, output_format, read_photo
from clearair.image.libvips import libvips

COFFEE = data.coffee()[:120, :160]


def encoded(kind: str, image: np.ndarray = COFFEE, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


KINDS = [name for name, each in FORMATS.items() if not each.extra]
CONTENTS = {kind: encoded(kind, COFFEE[:24, :32]) for kind in KINDS}


def refusal(source, **options) -> str:
    with pytest.raises(ImageError) as caught:
        read_photo(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


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


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.jpg"
    path.touch()
    assert refusal(path) == f"{path}: the file is empty."


@pytest.mark.parametrize("content", [b"hello, world" * 50, b"\0" * 500, b"\xff\xd8", b"<html>"])
def test_a_file_that_is_no_picture(tmp_path, content):
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)
    assert refusal(path) == f"{path}: not a picture."


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


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="path"):
        read_photo(5)
    assert "NUL" in refusal(f"{tmp_path}/a\0b.png")


def test_a_folder_and_a_missing_file(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: a folder, not a picture."
    assert refusal(tmp_path / "gone.jpg") == f"{tmp_path / 'gone.jpg'}: no such file."


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_to_nothing(tmp_path):
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone.jpg")
    assert refusal(tmp_path / "link.jpg") == f"{tmp_path / 'link.jpg'}: a link to a file that is not there."


@pytest.mark.skipif(sys.platform == "win32", reason="permissions there work otherwise")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "private.jpg"
    path.write_bytes(encoded("jpeg"))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "cannot be read: Permission denied" in refusal(path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens but cannot be read")
def test_a_file_that_fails_while_it_is_read():
    assert refusal(Path("/proc/self/mem")) == "/proc/self/mem: cannot be read: Input/output error."


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "not a regular file" in refusal(tmp_path / "pipe.jpg")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"8BPS" + bytes(60), "Photoshop"),
        (b"%PDF-1.7" + bytes(60), "PDF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(60), "video"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60), "JPEG 2000"),
        (b"\xef\xbb\xbf  <svg xmlns=" + bytes(60), "SVG"),
    ],
)
def test_a_known_format_that_is_not_read_is_named(head, name):
    assert f" {name} file, which cannot be read. Save it as PNG" in refusal(head, name="photo")


def test_a_camera_raw_file_does_not_pass_as_its_thumbnail(tmp_path):
    path = tmp_path / "DSC_1.NEF"
    path.write_bytes(encoded("tiff"))
    assert "RAW file is damaged" in refusal(path)
    # a digital negative by its tag, whatever it is called
    assert "RAW file is damaged" in refusal(encoded("tiff", tiffinfo={50706: b"\1\4\0\0"}))


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


def test_an_absurd_size_and_undecodable_messages_stay_silent(capfd):
    for make in (huge_png, huge_tiff, huge_avif):
        refusal(make(0x6E000028, 40))
    assert "PNG file is damaged" in refusal(encoded("png").replace(b"IDAT", b"\xff\xfe\xffT"))
    assert capfd.readouterr().err == ""


def test_libvips_does_not_talk_to_the_user(capfd, caplog):
    caplog.set_level(logging.CRITICAL)
    for kind in ("jpeg", "png", "tiff"):
        content = encoded(kind)
        refusal(content[: len(content) // 2])
    assert capfd.readouterr().err == ""


def test_importing_needs_neither_libvips_nor_torch():
    code = "import sys, clearair.image, clearair.files.batch; print({'pyvips', 'torch'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_every_readable_format_has_a_writable_one():
    assert all(FORMATS[output_format(name)].writable for name in FORMATS)
    assert SUFFIXES[".jpg"] == "jpeg"
    assert output_format("gif") == "png"


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

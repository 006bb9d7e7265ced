"""HEIC, JPEG XL and camera raw: read where their extra is installed, else the message says how."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from fuzz import dng
from PIL import Image
from skimage import data

from clearair.errors import ImageError
from clearair.image import encode_photo, output_format, read_photo
from clearair.image.extras import jxl_size

COFFEE = data.coffee()[100:196, 100:228]
EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6


def heic(image: np.ndarray = COFFEE, **options) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    mode = {(2, "uint8"): "L", (3, "uint8"): "RGB", (3, "uint16"): "RGB;16"}[image.ndim, image.dtype.name]
    size = image.shape[1], image.shape[0]
    file = io.BytesIO()
    pillow_heif.from_bytes(mode=mode, size=size, data=image.tobytes()).save(file, **options)
    return file.getvalue()


def jxl(image: Image.Image | np.ndarray = COFFEE, **options) -> bytes:
    pytest.importorskip("pillow_jxl")
    file = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(file, "JXL", **options)
    return file.getvalue()


def raw() -> bytes:
    pytest.importorskip("rawpy")
    return dng(COFFEE)


def refusal(content: bytes, **options) -> str:
    with pytest.raises(ImageError) as caught:
        read_photo(content, name="photo", **options)
    return str(caught.value)


@pytest.mark.parametrize("image", [COFFEE, COFFEE[..., 1].copy()], ids=["colour", "grey"])
def test_heic_is_read_and_becomes_png(image):
    photo = read_photo(heic(image, quality=95))
    assert (photo.format, output_format(photo.format)) == ("heic", "png")
    assert photo.grey == (image.ndim == 2)
    assert np.abs(photo.pixels.astype(int) - (image if image.ndim == 3 else image[..., None])).mean() < 4
    assert read_photo(encode_photo(photo)).size == (128, 96)


def test_heic_of_10_bits_keeps_them():
    image = COFFEE.astype(np.uint16) * 257
    photo = read_photo(heic(image, quality=95))
    assert (photo.pixels.dtype, photo.bits) == (np.uint16, 10)
    assert np.abs(photo.pixels.astype(int) - image).mean() < 4 * 257


def test_further_pictures_of_a_heic_are_named_as_left_out():
    pillow_heif = pytest.importorskip("pillow_heif")
    file = pillow_heif.from_pillow(Image.fromarray(COFFEE))
    file.add_from_pillow(Image.fromarray(COFFEE[:64]))
    buffer = io.BytesIO()
    file.save(buffer, quality=90)
    photo = read_photo(buffer.getvalue())
    assert photo.size == (128, 96)
    assert "1 of 2 pictures" in photo.left_out


def test_the_colours_of_a_heic_without_a_profile_are_kept():
    content = bytearray(heic(quality=90))
    at = content.index(b"colrnclx") + 8
    struct.pack_into(">H", content, at, 12)  # the primaries of Display P3
    written = encode_photo(read_photo(bytes(content)), "png")
    assert Image.open(io.BytesIO(written)).info.get("icc_profile")


def test_heic_is_turned_once_and_its_metadata_kept():
    profile = Image.open(io.BytesIO(encoded_with_profile())).info["icc_profile"]
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    picture = Image.fromarray(COFFEE)
    picture.save(file, "HEIF", exif=b"Exif\0\0" + EXIF, icc_profile=profile, quality=95)
    photo = read_photo(file.getvalue())
    assert photo.size == (96, 128)
    assert np.abs(photo.pixels.astype(int) - np.rot90(COFFEE, -1)).mean() < 4
    assert photo.metadata.orientation == 1
    assert photo.metadata.exif is not None
    assert photo.metadata.icc == profile


def encoded_with_profile() -> bytes:
    from PIL import ImageCms

    file = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(COFFEE).save(file, "png", icc_profile=profile)
    return file.getvalue()


def test_jpeg_xl_is_read_with_its_profile():
    photo = read_photo(jxl(lossless=True))
    assert photo.format == "jxl"
    assert np.array_equal(photo.pixels, COFFEE)
    assert photo.metadata.icc


def test_a_grey_jpeg_xl_of_16_bits():
    grey = COFFEE[..., 1].astype(np.uint16) * 200
    photo = read_photo(jxl(Image.fromarray(grey), lossless=True))
    assert photo.grey
    assert np.array_equal(photo.pixels[..., 0], grey)


def test_jpeg_xl_keeps_transparency():
    pixels = np.dstack([COFFEE, COFFEE[..., 0]])
    photo = read_photo(jxl(pixels, lossless=True))
    assert np.array_equal(photo.alpha, COFFEE[..., 0])


def test_a_jpeg_repacked_as_jpeg_xl_is_read_as_the_jpeg_it_is(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(COFFEE).save(path, exif=b"Exif\0\0" + EXIF)
    photo = read_photo(jxl(Image.open(path), lossless_jpeg=True))
    assert np.array_equal(photo.pixels, read_photo(path).pixels)
    assert (photo.format, photo.metadata.orientation) == ("jxl", 1)


@pytest.mark.parametrize("size", [(128, 96), (96, 128), (17, 33), (64, 64), (100, 75), (2000, 3)])
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(size):
    content = jxl(np.full((size[1], size[0], 3), 90, np.uint8))
    assert jxl_size(content) == size
    assert "more than the limit" in refusal(content, max_pixels=size[0] * size[1] - 1)


def test_camera_raw_is_developed(tmp_path):
    path = tmp_path / "photo.dng"
    path.write_bytes(raw())
    photo = read_photo(path)
    assert (photo.format, photo.pixels.dtype, photo.size) == ("raw", np.uint16, (128, 96))
    likeness = np.corrcoef(photo.pixels[..., 1].ravel(), COFFEE[..., 1].ravel())[0, 1]
    assert likeness > 0.95
    assert "developed as sRGB" in photo.notes[0]
    assert Image.open(io.BytesIO(encode_photo(photo))).getexif()[271] == "Maker"
    assert "more than the limit" in refusal(raw(), max_pixels=1000)


@pytest.mark.parametrize("make", [heic, jxl, raw])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_what_ends_early_is_refused(make, kept):
    content = make()
    assert "is damaged, ends early or" in refusal(content[: int(len(content) * kept)])


WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from clearair.files.finding import Finding
from clearair.image import SUFFIXES, read_photo
from clearair.errors import ImageError
suffix = sys.argv[3]
assert suffix not in SUFFIXES
assert "pip install 'clearair[" in Finding((), unread={suffix: 2}).remarks()[0]
try:
    read_photo(bytes.fromhex(sys.argv[2]), name="photo")
except ImageError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "head", "suffix", "message"),
    [
        ("pillow_heif", b"\0\0\0\x10ftypheic\0\0\0\0", ".heic", "a HEIC file; pip install 'clearair[heif]'"),
        ("pillow_jxl", b"\xff\x0a\0\0", ".jxl", "a JPEG XL file; pip install 'clearair[jxl]'"),
        ("rawpy", b"II*\0\x10\0\0\0CR\2\0", ".cr2", "a camera raw file; pip install 'clearair[raw]'"),
    ],
)  # fmt: skip
def test_without_its_extra_the_message_says_what_to_do(module, head, suffix, message):
    arguments = [module, (head + bytes(60)).hex(), suffix]
    said = subprocess.check_output([sys.executable, "-c", WITHOUT, *arguments], text=True)
    assert said == f"photo: {message} adds a reader. Or convert it to TIFF, PNG or JPEG first.\n"


@pytest.mark.parametrize("make", [heic, jxl, raw])
def test_damage_anywhere_gives_a_picture_or_a_refusal(make):
    content, drawn = make(), np.random.default_rng(0)
    for _ in range(60):
        spoilt = bytearray(content)
        for place in drawn.integers(0, drawn.choice([400, len(content)]), 6):
            spoilt[place] = drawn.integers(256)
        try:
            photo = read_photo(bytes(spoilt), max_pixels=1_000_000)
        except ImageError:
            continue
        assert read_photo(encode_photo(photo, "png")).size == photo.size


@pytest.mark.parametrize("make", [heic, jxl, raw])
def test_whoever_is_asked_about_the_size_may_refuse_in_any_way(make):
    class FullError(Exception):
        pass

    def refuse(width, height, pixel_bytes):
        assert (width, height) == (128, 96)
        raise FullError

    with pytest.raises(FullError):
        read_photo(make(), check_size=refuse)

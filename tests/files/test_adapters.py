"""Pictures as Python programs have them: PIL images with what they carry, bytes, open files, arrays."""

import io
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest

from clearair.errors import ImageError
from clearair.files.adapters import as_photo, from_photo
from clearair.image import encode_photo, read_photo

SRGB = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
MODEL = 272


def colours(height=24, width=36):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(params=["jpg", "png", "webp", "tiff"])
def turned(request, tmp_path):
    """A file that lies on its side, with a profile, EXIF and a resolution."""
    path = tmp_path / f"turned.{request.param}"
    exif = PIL.Image.Exif()
    exif[274], exif[MODEL] = 6, "A camera"
    options = {"lossless": True} if request.param == "webp" else {"quality": 100, "subsampling": 0}
    PIL.Image.fromarray(colours()).save(path, exif=exif, icc_profile=SRGB, dpi=(300, 300), **options)
    return path


def test_a_pil_image_is_the_photo_that_its_file_is(turned):
    from_file = read_photo(turned)
    with PIL.Image.open(turned) as image:
        photo, _ = as_photo(image)
    assert (photo.format, photo.size) == (from_file.format, from_file.size)
    assert np.abs(photo.pixels.astype(int) - from_file.pixels).max() <= 1
    # PIL turns the pixels of a TIFF itself.
    assert photo.metadata.orientation == (1 if photo.format == "tiff" else 6)
    assert photo.metadata.icc == from_file.metadata.icc == SRGB
    assert b"A camera" in photo.metadata.exif
    if from_file.metadata.density:
        np.testing.assert_allclose(photo.metadata.density, from_file.metadata.density, rtol=1e-4)


def test_a_pil_image_comes_back_as_it_lay_with_all_it_carried(turned):
    with PIL.Image.open(turned) as image:
        photo, layout = as_photo(image)
        back = from_photo(photo, layout)
        np.testing.assert_array_equal(np.asarray(back), np.asarray(image))
        assert back.getexif().get(274) == image.getexif().get(274)
        assert (back.getexif()[MODEL], back.info["icc_profile"]) == ("A camera", SRGB)


def test_an_image_that_was_decoded_before_is_the_same(turned):
    with PIL.Image.open(turned) as fresh, PIL.Image.open(turned) as decoded:
        decoded.load()
        assert as_photo(decoded)[0].metadata == as_photo(fresh)[0].metadata


def test_exif_that_pil_cannot_read_or_a_resolution_without_sense_stops_nothing():
    image = PIL.Image.fromarray(colours())
    image.info |= {"exif": b"Exif\0\0nonsense", "dpi": ("x", 0)}
    photo, _ = as_photo(image)
    assert (photo.metadata.orientation, photo.metadata.density) == (1, None)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
def test_the_content_of_a_file_is_that_file(turned, kind):
    from_file = read_photo(turned)
    photo, _ = as_photo(kind(turned.read_bytes()))
    np.testing.assert_array_equal(photo.pixels, from_file.pixels)
    assert (photo.content, photo.metadata) == (turned.read_bytes(), from_file.metadata)


def test_an_open_file_is_read_from_where_it_is_and_named(turned, tmp_path):
    (tmp_path / "with-head").write_bytes(b"head" + turned.read_bytes())
    with (tmp_path / "with-head").open("rb") as file:
        file.seek(4)
        photo, _ = as_photo(file)
    assert photo.name == str(tmp_path / "with-head")
    np.testing.assert_array_equal(photo.pixels, read_photo(turned).pixels)


def closed_image(path):
    image = PIL.Image.open(path)
    image.close()
    return image


def closed_file(path):
    with path.open("rb") as file:
        return file


def read_file(path):
    file = path.open("rb")
    file.read()
    return file


class Broken(io.RawIOBase):
    def __init__(self, path):
        super().__init__()

    def read(self, size=-1):
        raise RuntimeError("the line is dead.")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (closed_image, "closed image"),
        (closed_file, r"turned\.\w+: its file is closed"),
        (read_file, r"read to the end already; go back with seek\(0\)"),
        (lambda path: io.StringIO("text"), "open as text"),
        (lambda path: path.open(), r"turned\.\w+: is open as text"),
        (lambda path: path.with_name("new").open("wb"), "not open for reading"),
        (Broken, "cannot be read: the line is dead"),
        (lambda path: PIL.Image.Image, "not type"),
        (lambda path: PIL.Image.new("F", (4, 4)), "mode 'F'"),
        (lambda path: "", "name of the picture is empty"),
        (lambda path: "https://example.org/a.jpg", "an address"),
        (lambda path: f"file://{path}", "an address"),
        (lambda path: b"", "empty"),
        (lambda path: b"not a picture", "not a picture"),
        (lambda path: np.ma.masked_less(colours(), 9), "filled"),
        (lambda path: np.zeros((4, 4), complex), "complex"),
        (lambda path: np.zeros((4, 4), object), "object"),
        (lambda path: 5, "not int"),
        (lambda path: None, "not None"),
        (lambda path: np.full((4, 4), np.nan), "NaN or infinity; fill these first"),
        (lambda path: np.full((4, 4), np.inf), "NaN or infinity; fill these first"),
        (lambda path: np.full((4, 4), 200.0), "not 200 to 200; divide 8-bit values by 255"),
        (lambda path: np.full((4, 4), -1.0), r"not -1 to -1\.$"),
        (lambda path: np.zeros((3, 9, 9)), "np.moveaxis"),
    ],
)
def test_what_cannot_be_taken_is_an_image_error(turned: Path, make, said):
    given = make(turned)
    with pytest.raises(ImageError, match=said):
        as_photo(given)
    if hasattr(given, "close") and not isinstance(given, type):
        given.close()


def test_a_pil_image_and_an_open_file_know_the_file_they_come_from(turned):
    with PIL.Image.open(turned) as image, turned.open("rb") as file:
        assert [as_photo(each)[0].path for each in (image, file)] == [turned] * 2
        assert as_photo(image.copy())[0].path is None


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I;16N"])
def test_grey_of_16_bits_keeps_its_values_in_any_order_of_bytes(mode):
    values = np.arange(24 * 36, dtype=np.uint16).reshape(24, 36) * 70
    stored = values.astype(">u2" if mode == "I;16B" else "<u2").tobytes()
    image = PIL.Image.frombytes(mode, (36, 24), stored)
    photo, layout = as_photo(image)
    np.testing.assert_array_equal(photo.pixels[..., 0], values)
    np.testing.assert_array_equal(np.asarray(from_photo(photo, layout)), values)


@pytest.mark.parametrize(("mode", "plain"), [("La", "LA"), ("RGBa", "RGBA")])
def test_colours_multiplied_by_their_transparency_are_taken_apart(mode, plain):
    image = PIL.Image.fromarray(colours()).convert(plain)
    photo, layout = as_photo(image.convert(mode))
    back = from_photo(photo, layout)
    assert back.mode == plain
    np.testing.assert_array_equal(np.asarray(back), np.asarray(image))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_of_32_bits_are_refused_with_what_to_do(mode):
    with pytest.raises(ImageError, match="give the path of its file, or an array of uint16"):
        as_photo(PIL.Image.new(mode, (8, 8)))


def test_a_pil_image_of_an_avif_is_written_upright():
    file = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[274] = 6
    PIL.Image.fromarray(colours()).save(file, "avif", exif=exif)
    photo, _ = as_photo(PIL.Image.open(file))
    written = PIL.Image.open(io.BytesIO(encode_photo(photo)))
    assert written.size == photo.size == (24, 36)
    assert written.getexif().get(274, 1) == 1

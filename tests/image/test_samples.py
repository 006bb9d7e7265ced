"""Numbers that are no photograph's come back exactly where nothing changed, and in their own range."""

import io

import numpy as np
import pytest
import tifffile
from skimage import data

from clearair.errors import ImageError
from clearair.image import Photo, encode_photo, losses, read_photo
from clearair.image.samples import fill

GREY = data.camera()[100:196, 100:228] / 255.0  # (96, 128) in [0, 1]
COLOUR = data.coffee()[100:196, 100:228] / 255.0


def tiff_of(values: np.ndarray, nodata: str | None = None) -> bytes:
    file = io.BytesIO()
    tags = [(42113, "s", 0, nodata, True)] if nodata else []
    meaning = "rgb" if values.ndim == 3 else "minisblack"
    tifffile.imwrite(file, values, photometric=meaning, extratags=tags)
    return file.getvalue()


def stored_in(content: bytes) -> np.ndarray:
    return tifffile.imread(io.BytesIO(content))


def brightened(photo: Photo) -> Photo:
    """Another picture: every value a tenth of the range up."""
    return photo.with_pixels(np.clip(as_floats(photo) + 0.1, 0, 1).astype(np.float32))


def as_floats(photo: Photo) -> np.ndarray:
    top = 1 if photo.pixels.dtype == np.float32 else np.iinfo(photo.pixels.dtype).max
    return photo.pixels / np.float64(top)


STORED = {
    "int8": np.rint(GREY * 200 - 100).astype(np.int8),
    "int16": np.rint(GREY * 3000 - 1000).astype(np.int16),
    "small int32": np.rint(GREY * 200 - 100).astype(np.int32),
    "large int32": np.rint((GREY - 0.5) * 4e9).astype(np.int32),
    "uint32": np.rint(COLOUR * 4e9).astype(np.uint32),
    "kelvin": (270 + 30 * GREY).astype(np.float32),
    "colour floats": (COLOUR * 700).astype(np.float32),
    "10 bits": np.rint(GREY * 1023).astype(np.uint16),
    "12 bits": np.rint(COLOUR * 4095).astype(np.uint16),
    "14 bits": np.rint(COLOUR * 16383).astype(np.uint16),
}


@pytest.mark.parametrize("values", STORED.values(), ids=STORED)
def test_what_is_not_changed_is_written_back_exactly(values):
    photo = read_photo(tiff_of(values))
    again = stored_in(encode_photo(photo))
    assert again.dtype == values.dtype
    assert np.array_equal(again, values)
    assert photo.notes


@pytest.mark.parametrize("values", STORED.values(), ids=STORED)
def test_the_network_sees_the_range_that_is_there_and_its_changes_are_written_in_it(values):
    photo = read_photo(tiff_of(values))
    seen = as_floats(photo)
    assert seen.min() < 0.1
    assert seen.max() > 0.9
    again = stored_in(encode_photo(brightened(photo))).astype(np.float64)
    change = np.median(again - values) / (float(values.max()) - float(values.min()))
    assert 0.08 < change < 0.12
    assert again.max() - float(values.max()) <= max(1, 1e-6 * float(np.ptp(values.astype(np.float64))))


def test_signed_integers_keep_all_of_their_levels():
    values = np.arange(-100, 101, dtype=np.int32).repeat(40).reshape(67, 120)
    photo = read_photo(tiff_of(values))
    assert len(np.unique(photo.pixels)) == 201
    assert "values from -100 to 100" in photo.notes[0]


@pytest.mark.parametrize("bits", [9, 10, 11, 12, 14])
def test_unused_bits_are_known_by_the_top_value(bits):
    top = (1 << bits) - 1
    photo = read_photo(tiff_of(np.rint(GREY * top).astype(np.uint16)))
    assert (photo.pixels.dtype, photo.bits) == (np.uint16, bits)
    assert photo.notes == (f"its 16-bit values fit {bits} bits",)
    assert photo.pixels.max() == 65535


@pytest.mark.parametrize("top", [3000, 12_000, 30_000, 65_535])
def test_a_dark_photo_of_16_bits_is_not_taken_for_one_of_less(top):
    values = np.rint(GREY * top).astype(np.uint16)
    photo = read_photo(tiff_of(values))
    assert photo.samples is None
    assert np.array_equal(photo.pixels[..., 0], values)


def test_12_bits_stay_in_a_png_and_fill_the_range_of_other_formats():
    values = np.rint(COLOUR * 4095).astype(np.uint16)
    photo = read_photo(tiff_of(values))
    assert np.array_equal(read_photo(encode_photo(photo, "png")).samples.stored, values)
    assert losses(photo, "png") == ()
    shown = read_photo(encode_photo(photo, "jpeg")).pixels
    assert np.abs(shown / 255.0 - COLOUR).mean() < 0.02
    assert read_photo(encode_photo(photo, "avif")).bits == 12


def with_border(values: np.ndarray, value: float) -> np.ndarray:
    values = values.astype(np.float32)
    values[:, :20] = value
    values[50:53, 60:70] = value
    return values


@pytest.mark.parametrize("picture", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize(
    ("value", "nodata"),
    [(-9999, "-9999"), (-3.4028234663852886e38, "-3.40282346638529e+38"), (np.nan, "nan"), (0, "0")],
)
def test_samples_without_data_stay_and_do_not_disturb_the_others(picture, value, nodata):
    values = with_border(picture, value)
    holes = np.isnan(values) if np.isnan(value) else values == np.float32(value)
    photo = read_photo(tiff_of(values, nodata))
    assert np.array_equal(stored_in(encode_photo(photo)), values, equal_nan=True)
    again = stored_in(encode_photo(brightened(photo)))
    assert np.array_equal(again[holes], values[holes], equal_nan=True)
    assert np.allclose(again[~holes], np.minimum(values[~holes] + 0.1, 1), atol=1e-6)
    seen = photo.pixels[..., : values.shape[-1] if values.ndim == 3 else 1].reshape(values.shape)
    assert np.array_equal(seen[~holes], values[~holes])
    # What stands in the holes is like what is beside them.
    assert np.abs(photo.pixels[51, 62:68] - photo.pixels[49, 62:68]).max() < 0.35
    assert any("no data" in note for note in photo.notes)


@pytest.mark.parametrize("value", [-9999, 1e30, np.inf, np.nan])
def test_a_mark_of_no_data_that_is_not_announced_is_known_by_its_distance(value):
    values = with_border(GREY, value)
    photo = read_photo(tiff_of(values))
    assert np.array_equal(photo.pixels[:40, 30:, 0], values[:40, 30:])
    assert np.array_equal(stored_in(encode_photo(photo)), values, equal_nan=True)


def test_a_few_hot_pixels_do_not_squeeze_the_others():
    values = (GREY * 200).astype(np.float32)
    values[3, 4] = values[30, 40] = 900
    photo = read_photo(tiff_of(values))
    assert photo.pixels[..., 0].std() > 0.9 * GREY.std()
    assert stored_in(encode_photo(brightened(photo)))[3, 4] >= 900


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("mark", [0, 255])
def test_photographs_with_a_mark_of_no_data_keep_it(depth, mark):
    unit = 257 if depth is np.uint16 else 1
    values = np.rint(GREY * 200 + 20).astype(depth) * depth(unit)
    values[:30] = mark * unit
    photo = read_photo(tiff_of(values, str(mark * unit)))
    assert photo.pixels.dtype == depth
    again = stored_in(encode_photo(brightened(photo)))
    assert (again[:30] == mark * unit).all()
    assert (again[30:] > values[30:]).all()
    assert np.array_equal(stored_in(encode_photo(photo)), values)


def test_a_format_that_cannot_hold_the_range_says_so():
    photo = read_photo(tiff_of(STORED["small int32"]))
    assert losses(photo, "png") == ("values from -97 to 100 become 0 to 65535",)
    assert losses(photo, "jpeg") == ("values from -97 to 100 become 0 to 255",)
    assert losses(photo, "tiff") == ()
    shown = read_photo(encode_photo(photo, "png")).pixels[..., 0]
    assert np.abs(shown / 65535.0 - GREY).max() < 0.02


def test_no_remark_on_a_format_that_has_room_and_one_on_lost_marks_of_no_data():
    narrow = read_photo(tiff_of(np.rint(GREY * 1023).astype(np.uint16)))
    assert losses(narrow, "avif") == ()
    assert losses(narrow, "jpeg") == ("values from 0 to 1023 become 0 to 255",)
    with_holes = read_photo(tiff_of(with_border(GREY, np.nan)))
    assert losses(with_holes, "tiff") == ()
    scaled = ("values from 0 to 1 become 0 to 65535", "samples without data become black")
    assert losses(with_holes, "png")[:2] == scaled


@pytest.mark.parametrize(("value", "nodata"), [(np.nan, None), (np.inf, None), (5.0, "5")])
def test_a_file_without_a_single_value_is_refused(value, nodata):
    with pytest.raises(ImageError, match="photo: none of its samples holds a value"):
        read_photo(tiff_of(np.full((20, 30), value, np.float32), nodata), name="photo")


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0])
def test_a_flat_picture_comes_back(value):
    values = np.full((20, 30), value, np.float32)
    assert np.array_equal(stored_in(encode_photo(read_photo(tiff_of(values)))), values)


def test_transparency_of_other_integers_is_kept():
    values = np.rint(np.dstack([COLOUR, GREY]) * 1e6).astype(np.int32)
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="rgb", extrasamples=["unassalpha"])
    photo = read_photo(file.getvalue())
    assert photo.alpha is not None
    assert np.array_equal(stored_in(encode_photo(photo)), values)


def test_filling_takes_the_mean_of_what_is_around():
    values = np.zeros((7, 9, 1), np.float32)
    values[:, 5:] = 1
    known = np.ones(values.shape, np.bool_)
    known[2:5, 3:7] = False
    filled = fill(np.where(known, values, 99), known)
    assert np.array_equal(filled[known], values[known])
    assert filled.min() >= 0
    assert filled.max() <= 1
    assert filled[3, 3] < filled[3, 6]


@pytest.mark.parametrize("mark", [-9999, -32768])
def test_usual_marks_of_no_data_are_known_a_spread_away(mark):
    values = np.rint(GREY * 4000).astype(np.int16)
    values[10:20, 10:20] = mark
    photo = read_photo(tiff_of(values))
    assert photo.samples.holes.sum() == 100
    assert (photo.samples.low, photo.samples.high) == (0, values.max())
    assert (stored_in(encode_photo(brightened(photo)))[10:20, 10:20] == mark).all()


def test_a_usual_mark_among_the_others_is_a_value():
    values = np.rint(GREY * 12_000).astype(np.int16) - 9999
    values[10:20, 10:20] = -9999
    assert read_photo(tiff_of(values)).samples.holes is None


def test_broken_pixels_do_not_hide_unused_bits():
    values = np.rint(GREY / GREY.max() * 4095).astype(np.uint16)
    values[3, 3:6] = 65_535
    photo = read_photo(tiff_of(values))
    assert photo.bits == 12
    assert photo.samples.holes.sum() == 3
    assert (stored_in(encode_photo(brightened(photo)))[3, 3:6] == 65_535).all()
    dark = np.rint(GREY / GREY.max() * 3000).astype(np.uint16)
    dark[3, 3:6] = 65_535
    assert read_photo(tiff_of(dark)).samples is None


def test_half_floats_are_written_as_whole_ones():
    photo = read_photo(tiff_of(GREY.astype(np.float16)))
    assert photo.notes == ("16-bit floats are written as 32-bit",)
    assert np.array_equal(stored_in(encode_photo(photo)), GREY.astype(np.float16).astype(np.float32))

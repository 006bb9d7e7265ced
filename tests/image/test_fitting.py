"""What a format cannot hold of a photo is said, or refused with the way out."""

import numpy as np
import pytest
from skimage import data

from clearair.errors import OutputError
from clearair.image import Photo, encode_photo, losses, read_photo

COFFEE = np.ascontiguousarray(data.coffee()[100:140, 150:206])


def test_transparency_is_refused_by_jpeg_with_the_way_out():
    alpha = np.full((40, 56), 200, np.uint8)
    with pytest.raises(OutputError, match=r"out.jpg: jpeg cannot hold .* write it as png"):
        encode_photo(Photo(COFFEE, alpha=alpha), "jpeg", name="out.jpg")
    alpha[:] = 255  # opaque: nothing is lost
    encode_photo(Photo(COFFEE, alpha=alpha), "jpeg")


def test_rounding_to_fewer_bits_is_said():
    wide = Photo(COFFEE.astype(np.uint16) * 257, bits=16, format="tiff")
    assert losses(wide, "png") == ()
    assert "16-bit values were rounded to 8 bits" in losses(wide, "jpeg")[0]
    pixels = read_photo(encode_photo(wide, "webp", quality=100)).pixels
    assert pixels.dtype == np.uint8
    floats = Photo(COFFEE / np.float32(255), bits=32, format="tiff")
    assert "float values were rounded to 16 bits" in losses(floats, "png")[0]
    assert np.array_equal(read_photo(encode_photo(floats, "png")).pixels, wide.pixels)

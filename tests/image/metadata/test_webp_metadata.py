"""What plain libvips loses of a WebP, beside what is kept of it."""

import io

import numpy as np
import pytest
import pyvips
from PIL import Image

from clearair.image import Metadata, Photo, encode_photo, read_photo


def test_libvips_rebuilds_exif(saved, by_libvips_alone, exif):
    content = saved("webp", exif=exif)
    assert exif not in by_libvips_alone(content, "webp")
    assert Image.open(io.BytesIO(encode_photo(read_photo(content)))).info["exif"] == exif


def test_libvips_passes_over_what_the_header_does_not_announce(saved, exif, srgb):
    content = bytearray(saved("webp", exif=exif, icc_profile=srgb, xmp=b"<x/>"))
    content[content.index(b"VP8X") + 8] = 0
    fields = pyvips.Image.new_from_buffer(bytes(content), "").get_fields()
    assert not {"exif-data", "icc-profile-data", "xmp-data"} & set(fields)
    assert read_photo(bytes(content)).metadata == Metadata(icc=srgb, exif=exif, xmp=b"<x/>")


@pytest.mark.parametrize("alpha", [False, True])
def test_only_exif_of_any_length_is_enough(coffee, alpha):
    for exif in (b"II*\0", b"II*\0" + bytes(100_001)):
        opacity = np.ascontiguousarray(coffee[..., 0]) if alpha else None
        photo = Photo(coffee, alpha=opacity, format="webp", metadata=Metadata(exif=exif))
        again = read_photo(encode_photo(photo))
        assert again.metadata == photo.metadata
        assert (again.alpha is not None) == alpha


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("frames", [1, 2])
def test_libvips_does_not_say_whether_the_file_is_lossless(saved, coffee, lossless, frames):
    others = [Image.fromarray(coffee[::-1])] * (frames - 1)
    content = saved("webp", lossless=lossless, save_all=frames > 1, append_images=others)
    fields = pyvips.Image.new_from_buffer(content, "").get_fields()
    assert not [name for name in fields if "lossless" in name]
    photo = read_photo(content)
    assert np.array_equal(read_photo(encode_photo(photo)).pixels, photo.pixels) == lossless

"""Files written and read again: pixels, alpha, depth, grey, turn, colour profile, EXIF, XMP and density."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo
from skimage import data

from clearair.image import Metadata, Photo, encode_photo, read_photo, write_photo
from clearair.image.metadata.directories import read_directory

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
PRIVATE_TAG = 0xBEEF
CARRIERS = ["jpeg", "png", "tiff", "webp"]  # of everything, in their own segments, chunks or tags


def coffee(height=40, width=56) -> np.ndarray:
    return np.ascontiguousarray(data.coffee()[100 : 100 + height, 150 : 150 + width])


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:02:03 04:05:06"
    exif.get_ifd(0x8769)[PRIVATE_TAG] = "private"
    exif.get_ifd(0x8825)[1], exif.get_ifd(0x8825)[2] = "N", (51.0, 30.0, 26.5)
    return exif


def file_with_everything(kind: str, orientation: int = 6) -> bytes:
    """A file as others write it. Pillow does not write EXIF directories into TIFF, so that one is ours."""
    if kind == "tiff":
        photo = read_photo(file_with_everything("jpeg", orientation))
        return encode_photo(Photo(photo.pixels, metadata=photo.metadata, format="tiff"))
    file = io.BytesIO()
    options = {} if kind in ("webp", "avif") else {"dpi": (300, 150)}
    if kind == "png":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    else:
        options["xmp"] = XMP
    Image.fromarray(coffee()).save(file, kind, exif=exif_of(orientation), icc_profile=ICC, **options)
    return file.getvalue()


def described(content: bytes):
    """What an independent reader finds, and the upright picture it shows."""
    image = Image.open(io.BytesIO(content))
    exif = image.getexif()
    details, place = dict(exif.get_ifd(0x8769)), dict(exif.get_ifd(0x8825))
    xmp = image.info.get("xmp") or (image.tag_v2.get(700) if image.format == "TIFF" else None)
    profile = image.info.get("icc_profile")
    maker = exif.get(0x010F)
    shown = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    return shown, {"maker": maker, "details": details, "place": place, "xmp": xmp, "icc": profile}


def photos(kind: str):
    """Photos that fit a lossless file of `kind`."""
    depths = {"png": [np.uint8, np.uint16], "webp": [np.uint8]}.get(kind, [np.uint8, np.uint16, np.float32])

    def build(depth, grey, alpha, orientation, height, width, seed):
        drawn = np.random.default_rng(seed)
        values = drawn.random((height, width, 5), dtype=np.float32)
        if depth is not np.float32:
            values = (values * np.iinfo(depth).max).astype(depth)
        pixels = np.repeat(values[..., :1], 3, axis=2) if grey else values[..., :3]
        source = file_with_everything("png", orientation)
        bits = 8 * np.dtype(depth).itemsize
        return Photo(
            np.ascontiguousarray(pixels),
            alpha=np.ascontiguousarray(values[..., 4]) if alpha else None,
            grey=grey,
            format=kind,
            metadata=Metadata(exif=read_photo(source).metadata.exif),
            bits=bits,
            compression="lossless" if kind == "webp" else "deflate",
        )

    side = st.integers(1, 9)
    return st.builds(
        build,
        st.sampled_from(depths),
        st.booleans(),
        st.booleans(),
        st.integers(1, 8),
        side,
        side,
        st.integers(0, 99),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
@given(drawn=st.data())
def test_lossless_formats_keep_every_bit_of_pixels_and_alpha(kind, drawn):
    photo = drawn.draw(photos(kind))
    again = read_photo(encode_photo(photo, kind))
    assert again.pixels.dtype == photo.pixels.dtype
    assert np.array_equal(again.pixels, photo.pixels)
    assert (again.alpha is None) == (photo.alpha is None)
    assert photo.alpha is None or np.array_equal(again.alpha, photo.alpha)
    assert read_directory(again.metadata.exif) == read_directory(photo.metadata.exif)
    if kind != "webp":  # which has no grey
        assert again.grey == photo.grey


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", CARRIERS)
def test_a_turned_photo_is_restored_upright_and_shown_as_before(kind, orientation):
    source = file_with_everything(kind, orientation)
    photo = read_photo(source)
    shown, _ = described(source)
    assert np.array_equal(photo.pixels, shown)
    marked = photo.pixels.copy()
    marked[:8, :8] = (255, 0, 0)  # the upper left corner, as viewed
    result = encode_photo(photo.with_pixels(marked))
    seen, _ = described(result)
    assert seen.shape == shown.shape
    assert np.abs(seen[:6, :6].astype(int) - (255, 0, 0)).max() < 16
    assert read_photo(result).metadata.exif == photo.metadata.exif


@pytest.mark.parametrize("target", [*CARRIERS, "avif"])
@pytest.mark.parametrize("kind", CARRIERS)
def test_metadata_survive_also_into_another_format(kind, target):
    source = file_with_everything(kind)
    result = encode_photo(read_photo(source), target)
    (shown, before), (seen, after) = described(source), described(result)
    assert seen.shape == shown.shape
    if kind != target:  # stored upright there, which the packet must say too
        before["xmp"] = before["xmp"] and before["xmp"].replace(b'Orientation="6"', b'Orientation="1"')
    assert after == before
    assert after["details"][PRIVATE_TAG] == "private"
    assert after["icc"] == ICC


@pytest.mark.parametrize("kind", CARRIERS)
def test_the_same_format_keeps_exif_xmp_and_profile_byte_for_byte(kind):
    photo = read_photo(file_with_everything(kind))
    assert read_photo(encode_photo(photo)).metadata == photo.metadata
    assert photo.metadata.exif
    assert photo.metadata.xmp == XMP


@pytest.mark.parametrize("target", ["jpeg", "png", "tiff"])
@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff"])
def test_the_density_is_kept(kind, target):
    result = encode_photo(read_photo(file_with_everything(kind)), target)
    assert Image.open(io.BytesIO(result)).info["dpi"] == pytest.approx((300, 150), abs=0.1)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_no_density_is_made_up(kind):
    assert read_photo(encode_photo(Photo(coffee()), kind)).metadata.density is None


@pytest.mark.parametrize("kind", CARRIERS)
def test_stripping_leaves_the_profile_and_an_upright_picture(kind):
    source = file_with_everything(kind)
    result = encode_photo(read_photo(source), strip_metadata=True)
    (shown, _), (seen, after) = described(source), described(result)
    assert seen.shape == shown.shape
    assert after["icc"] == ICC
    assert not any((after["maker"], after["details"], after["place"], after["xmp"]))
    assert b"2020:02:03" not in result


def test_comments_and_iptc_stay_in_a_jpeg():
    file = io.BytesIO()
    Image.fromarray(coffee()).save(file, "jpeg", comment=b"at sea")
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x07\x1c\x02\x05\0\x02Hi\0"
    content = file.getvalue()
    content = content[:2] + b"\xff\xed" + (len(iptc) + 2).to_bytes(2, "big") + iptc + content[2:]
    result = encode_photo(read_photo(content))
    assert Image.open(io.BytesIO(result)).info["comment"] == b"at sea"
    assert iptc in result


def test_text_and_gamma_stay_in_a_png():
    info = PngInfo()
    info.add_text("Author", "someone")
    info.add(b"gAMA", (45455).to_bytes(4, "big"))
    file = io.BytesIO()
    Image.fromarray(coffee()).save(file, "png", pnginfo=info)
    again = Image.open(io.BytesIO(encode_photo(read_photo(file.getvalue()))))
    again.load()
    assert again.text == {"Author": "someone"}
    assert again.info["gamma"] == pytest.approx(0.45455)


def test_the_thumbnail_of_the_unrestored_picture_is_unlinked_and_nothing_else_moves():
    thumbnail = io.BytesIO()
    Image.new("RGB", (16, 16)).save(thumbnail, "jpeg")
    body = exif_of(1).tobytes()[6:]
    # Pillow writes no thumbnails: hang a second directory to the end of the block by hand
    order = "little" if body[:2] == b"II" else "big"
    first = int.from_bytes(body[4:8], order)
    link = first + 2 + 12 * int.from_bytes(body[first : first + 2], order)
    chained = body[:link] + len(body).to_bytes(4, order) + body[link + 4 :] + b"\0" * 6 + thumbnail.getvalue()
    file = io.BytesIO()
    Image.fromarray(coffee()).save(file, "jpeg", exif=b"Exif\0\0" + chained)
    photo = read_photo(file.getvalue())
    assert photo.metadata.exif == chained
    written = read_photo(encode_photo(photo)).metadata.exif
    assert written[link : link + 4] == bytes(4)
    assert written[:link] + written[link + 4 :] == chained[:link] + chained[link + 4 :]


def test_big_endian_exif_survives_the_way_into_a_tiff():
    block = b"MM\0*\0\0\0\x08\0\x02" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
    block += b"\x01\x1a\0\x05\0\0\0\x01\0\0\0\x26" + b"\0\0\0\0" + b"\0\0\x01\x2c\0\0\0\x01"
    photo = Photo(coffee(), format="jpeg", metadata=Metadata(exif=block))
    assert photo.metadata.orientation == 6
    assert read_photo(encode_photo(photo, "tiff")).metadata.orientation == 1
    assert read_directory(block).tags[282].data == struct.pack("<II", 300, 1)


def test_a_profile_longer_than_a_jpeg_segment_is_kept():
    profile = np.random.default_rng(0).bytes(200_000)
    photo = Photo(coffee(), format="jpeg", metadata=Metadata(icc=profile))
    assert Image.open(io.BytesIO(encode_photo(photo))).info["icc_profile"] == profile


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_16_bit_and_grey_are_read_as_others_write_them(kind, depth):
    grey = (np.arange(30 * 20, dtype=depth) * (97 if depth is np.uint16 else 1)).reshape(20, 30)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, kind)
    photo = read_photo(file.getvalue())
    assert photo.grey
    assert np.array_equal(photo.pixels, np.repeat(grey[..., None], 3, axis=2))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_photo(photo)))), grey)


def test_a_grey_jpeg_stays_grey():
    file = io.BytesIO()
    Image.fromarray(coffee()).convert("L").save(file, "jpeg")
    assert Image.open(io.BytesIO(encode_photo(read_photo(file.getvalue())))).mode == "L"


def test_a_float_tiff_stays_float_in_its_own_range():
    values = np.linspace(-0.5, 3, 600, dtype=np.float32).reshape(20, 30)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "tiff")
    photo = read_photo(file.getvalue())
    assert (photo.pixels.min(), photo.pixels.max()) == (0, 1)
    assert "-0.5 to 3" in photo.notes[0]
    again = np.asarray(Image.open(io.BytesIO(encode_photo(photo))))
    assert again.dtype == np.float32
    assert np.allclose(again, values, atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "kind", "note"),
    [
        ("CMYK", "jpeg", "CMYK was converted to sRGB"),
        ("CMYK", "tiff", "CMYK was converted to sRGB"),
        ("P", "png", "palette"),
        ("P", "gif", "palette"),
        ("1", "png", "1-bit values are written as 8-bit"),
        ("1", "tiff", "1-bit values are written as 8-bit"),
    ],
)
def test_unusual_pixels_are_converted_and_said_to_be(mode, kind, note):
    file = io.BytesIO()
    image = Image.fromarray(coffee()).convert(mode)
    image.save(file, kind)
    photo = read_photo(file.getvalue(), name=f"photo.{kind}")
    assert any(note in each for each in photo.notes)
    close = 30 if mode == "CMYK" else 0  # a press profile against Pillow's plain formula
    difference = photo.pixels.astype(int).mean(axis=(0, 1)) - np.asarray(image.convert("RGB")).mean(
        axis=(0, 1)
    )
    assert np.abs(difference).max() <= close
    assert photo.grey == (mode == "1")
    encode_photo(photo)


def test_a_transparent_palette_colour_becomes_alpha():
    image = Image.new("P", (8, 8), 3)
    image.putpalette([value for index in range(4) for value in (index * 60,) * 3])
    image.putpixel((2, 1), 0)
    file = io.BytesIO()
    image.save(file, "png", transparency=0)
    alpha = read_photo(file.getvalue()).alpha
    assert alpha[1, 2] == 0
    assert (alpha == 0).sum() == 1


def test_grey_with_alpha_stays_so():
    file = io.BytesIO()
    image = Image.merge("LA", [Image.fromarray(coffee()[..., 0]), Image.fromarray(coffee()[..., 1])])
    image.save(file, "png")
    again = Image.open(io.BytesIO(encode_photo(read_photo(file.getvalue()))))
    assert again.mode == "LA"
    assert np.array_equal(np.asarray(again), np.asarray(image))


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_stays_as_lossless_as_it_was(lossless):
    file = io.BytesIO()
    Image.fromarray(coffee()).save(file, "webp", lossless=lossless)
    photo = read_photo(file.getvalue())
    assert np.array_equal(read_photo(encode_photo(photo)).pixels, photo.pixels) == lossless


@pytest.mark.parametrize(("kind", "floor"), [("jpeg", 41), ("webp", 38), ("avif", 41)])
def test_lossy_formats_change_little(kind, floor):
    photo = Photo(coffee(120, 160), format=kind)
    error = read_photo(encode_photo(photo)).pixels.astype(float) - photo.pixels
    assert 10 * np.log10(255**2 / np.mean(error**2)) > floor  # PSNR in dB


def test_avif_keeps_alpha_and_what_libvips_can_carry():
    alpha = coffee()[..., 0]
    photo = read_photo(file_with_everything("avif"))
    assert photo.pixels.shape[:2] == (56, 40)  # turned by the decoder, as the file says outside EXIF
    assert photo.metadata.orientation == 1
    again = read_photo(encode_photo(Photo(coffee(), alpha=alpha, format="avif", metadata=photo.metadata)))
    assert np.array_equal(again.alpha, alpha)
    assert again.metadata.icc == ICC
    assert again.metadata.exif == photo.metadata.exif
    assert read_directory(again.metadata.exif).tags[0x010F].data == b"Maker\0"


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 50), (50, 1)])
@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp", "avif"])
def test_one_pixel_one_row_and_one_column_are_pictures(kind, height, width):
    photo = Photo(coffee(max(height, 2), max(width, 2))[:height, :width], format=kind)
    assert read_photo(encode_photo(photo)).size == (width, height)


def test_the_suffix_decides_the_format(tmp_path: Path):
    photo = Photo(coffee())
    for suffix, kind in ((".JPG", "JPEG"), (".tif", "TIFF"), (".webp", "WEBP"), (".png", "PNG")):
        write_photo(photo, tmp_path / f"a{suffix}")
        assert Image.open(io.BytesIO((tmp_path / f"a{suffix}").read_bytes())).format == kind


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp", "avif"])
def test_pixels_are_contiguous_and_may_be_written_to(kind):
    pixels = read_photo(file_with_everything(kind, orientation=1)).pixels
    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_colours_multiplied_by_their_alpha_are_read_and_written_as_they_are(depth):
    tifffile = pytest.importorskip("tifffile")
    top = np.iinfo(depth).max
    alpha = np.full((16, 16, 1), top // 2, depth)
    colour = np.broadcast_to(np.array([top // 4, top // 8, 0], depth), (16, 16, 3))
    file = io.BytesIO()
    tifffile.imwrite(file, np.concatenate([colour, alpha], 2), photometric="rgb", extrasamples=["assocalpha"])
    photo = read_photo(file.getvalue())
    assert np.abs(photo.pixels.astype(int) - [top // 2, top // 4, 0]).max() <= 2
    written = encode_photo(photo)
    with tifffile.TiffFile(io.BytesIO(written)) as tiff:
        assert tiff.pages[0].extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)
    assert np.array_equal(read_photo(written).pixels, photo.pixels)


@pytest.mark.parametrize("space", ["lab", "labs"])
def test_lab_becomes_srgb(space):
    import pyvips

    rgb = pyvips.Image.new_from_array(coffee()).copy(interpretation="srgb")
    photo = read_photo(bytes(rgb.colourspace(space).tiffsave_buffer()))
    assert photo.pixels.dtype == np.uint16
    assert np.abs(photo.pixels / 257 - coffee()).max() < 0.05
    assert photo.notes == ("Lab was converted to sRGB with 16 bits",)


def test_xyz_becomes_srgb():
    import pyvips

    rgb = pyvips.Image.new_from_array(coffee()).copy(interpretation="srgb")
    content = bytes(rgb.colourspace("xyz").tiffsave_buffer())
    xyz = pyvips.Image.new_from_buffer(content, "").numpy() / 100  # LogLuv, so not quite what was written
    to_linear = [[3.2404542, -1.5371385, -0.4985314], [-0.969266, 1.8760108, 0.041556]]
    to_linear.append([0.0556434, -0.2040259, 1.0572252])
    linear = np.clip(xyz @ np.array(to_linear).T, 0, 1)
    curved = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )  # IEC 61966-2-1
    photo = read_photo(content)
    assert photo.pixels.dtype == np.uint16
    assert np.abs(photo.pixels / 257 - 255 * curved).max() < 0.05
    assert photo.notes == ("XYZ was converted to sRGB with 16 bits",)


@pytest.mark.parametrize("packing", ["none", "lzw", "deflate", "packbits", "webp", "jpeg"])
@pytest.mark.parametrize("tiled", [False, True])
def test_a_tiff_of_any_packing_that_libvips_knows_is_read(packing, tiled):
    import pyvips

    rgb = pyvips.Image.new_from_array(coffee()).copy(interpretation="srgb")
    photo = read_photo(bytes(rgb.tiffsave_buffer(compression=packing, tile=tiled, Q=95, lossless=True)))
    assert np.abs(photo.pixels.astype(int) - coffee()).max() <= (40 if packing == "jpeg" else 0)

"""What a colour-managed viewer shows of a photo stays as it was, in every format.

The viewer is libvips with the profile that is in the file, and where there is none the formulas of the
specifications: PNG third edition for gAMA, a Display P3 profile for the code points 12/13 of H.273.
"""

import io
import struct
import zlib

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from clearair.errors import OutputError
from clearair.image import FORMATS, Metadata, Photo, encode_photo, losses, read_photo
from clearair.image.metadata import avif, profiles
from clearair.image.metadata.colours import Colours

WRITABLE = [name for name, each in FORMATS.items() if each.writable]
P3 = b"nclx\0\x0c\0\x0d"
SRGB = b"nclx\0\x01\0\x0d"


def gradients(depth=np.uint8) -> np.ndarray:
    """(48, 64, 3): soft enough for the lossy formats to keep every level."""
    rows, columns = np.mgrid[0:48, 0:64] / np.array([47, 63])[:, None, None]
    values = np.stack([0.3 + 0.5 * columns, 0.8 - 0.5 * rows, 0.4 + 0.2 * (rows + columns)], axis=2)
    return (values * np.iinfo(depth).max + 0.5).astype(depth)


def as_image(pixels: np.ndarray) -> pyvips.Image:
    kind = {1: "b-w", 3: "srgb"} if pixels.dtype == np.uint8 else {1: "grey16", 3: "rgb16"}
    return pyvips.Image.new_from_array(pixels).copy(interpretation=kind[pixels.shape[2]])


def p3_profile() -> bytes:
    return bytes(as_image(gradients()).icc_transform("p3", input_profile="srgb").get("icc-profile-data"))


def with_chunk(png: bytes, name: bytes, body: bytes) -> bytes:
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return png[:33] + chunk + png[33:]


def png_chunk(content: bytes, name: bytes) -> bytes:
    at = content.find(name)
    if not content.startswith(b"\x89PNG") or at < 0:
        return b""
    return content[at + 4 : at + 4 + int.from_bytes(content[at - 4 : at], "big")]


def grey_linear_profile() -> bytes:
    return Colours(gamma=1.0).profile(grey=True)


def saved(kind: str, pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def linear() -> np.ndarray:
    """(48, 64, 3) uint16: the gradients, of which a corner is nearly black, as amounts of light."""
    values = gradients(np.uint16) / 65535 * np.linspace(0.05, 1, 64)[:, None]
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return (light * 65535 + 0.5).astype(np.uint16)


def with_profile(pixels: np.ndarray, icc: bytes) -> bytes:
    image = as_image(pixels).copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    return bytes(image.pngsave_buffer())


def p3_avif() -> bytes:
    return saved("avif", gradients(), quality=100, subsampling="4:4:4").replace(SRGB, P3)


def plain_png(depth=np.uint16) -> bytes:
    return bytes(as_image(gradients(depth)).pngsave_buffer(keep="none"))


CHROMATICITIES = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)  # of Display P3
SOURCES = {
    "profile": lambda: saved("png", gradients(), icc_profile=p3_profile()),
    "grey profile": lambda: saved("png", gradients()[..., 0].copy(), icc_profile=grey_linear_profile()),
    "nclx": p3_avif,
    "cICP": lambda: with_chunk(plain_png(), b"cICP", b"\x0c\x0d\0\1"),
    "gAMA 1.0": lambda: with_chunk(plain_png(), b"gAMA", (100_000).to_bytes(4, "big")),
    "gAMA 2.2": lambda: with_chunk(plain_png(np.uint8), b"gAMA", (45_455).to_bytes(4, "big")),
    "cHRM": lambda: with_chunk(plain_png(), b"cHRM", struct.pack(">8I", *CHROMATICITIES)),
    "linear profile": lambda: with_profile(linear(), Colours(gamma=1.0).profile(grey=False)),
    "grey linear profile": lambda: with_profile(linear()[..., :1], grey_linear_profile()),
    "cICP before a profile": lambda: with_chunk(
        saved("png", gradients(), icc_profile=Colours(gamma=1.8).profile(grey=False)),
        b"cICP",
        b"\x0c\x0d\0\1",
    ),
    "grey gAMA": lambda: with_chunk(saved("png", gradients()[..., 0].copy()), b"gAMA", b"\0\0\xb1\x8f"),
    "none": plain_png,
}


def shown(content: bytes) -> np.ndarray:
    """(H, W, 3) as sRGB of 8 bits."""
    image = pyvips.Image.new_from_buffer(content, "")
    profile = image.get("icc-profile-data") if image.get_typeof("icc-profile-data") else b""
    if image.bands == 1 and profile == grey_linear_profile():  # where LittleCMS is off by levels near black
        values = np.atleast_3d(image.numpy()) / (65535 if image.format == "ushort" else 255)
        values = np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)
        return np.broadcast_to(values * 255, (*values.shape[:2], 3))
    if png_chunk(content, b"cICP")[:2] == b"\x0c\x0d":  # which outranks a profile
        return image.icc_transform("srgb", input_profile="p3", embedded=False, depth=8).numpy().astype(float)
    if image.get_typeof("icc-profile-data"):
        return image.icc_transform("srgb", embedded=True, depth=8, intent="relative").numpy().astype(float)
    wide = P3 in content[:2000] or png_chunk(content, b"cICP")[:2] == b"\x0c\x0d"
    if wide or png_chunk(content, b"cHRM") == struct.pack(">8I", *CHROMATICITIES):
        return image.icc_transform("srgb", input_profile="p3", depth=8).numpy().astype(float)
    values = image.numpy() / (65535 if image.format == "ushort" else 255)
    if gamma := png_chunk(content, b"gAMA"):
        light = values ** (100_000 / int.from_bytes(gamma, "big"))
        values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.broadcast_to(np.atleast_3d(values), (*values.shape[:2], 3)) * 255


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Of a channel's mean in a quarter of the picture, at most: noise of the lossy formats cancels out."""
    apart = (one - other).reshape(2, 24, 2, 32, 3).mean(axis=(1, 3))
    return float(np.abs(apart).max())


@pytest.mark.parametrize("target", WRITABLE)
@pytest.mark.parametrize("source", SOURCES)
def test_a_viewer_shows_the_same_in_every_format(source, target):
    content = SOURCES[source]()
    before = shown(content)
    after = shown(encode_photo(read_photo(content), target))
    assert difference(after, before) < 1


@pytest.mark.parametrize("way", [(one, other) for one in WRITABLE for other in WRITABLE if one != other])
@pytest.mark.parametrize("source", ["nclx", "gAMA 1.0", "grey profile"])
def test_a_viewer_shows_the_same_after_a_second_change_of_format(source, way):
    content = SOURCES[source]()
    once = encode_photo(read_photo(content), way[0])
    twice = encode_photo(read_photo(once), way[1])
    assert difference(shown(twice), shown(content)) < 1


@pytest.mark.parametrize("target", WRITABLE)
def test_pillow_shows_the_same_colours(target):
    """A second judge for the profiles that are built; of 8 bits, as it cuts AVIF of 12 bits off."""
    source = with_chunk(plain_png(np.uint8), b"cICP", b"\x0c\x0d\0\1")
    content = encode_photo(read_photo(source), target)
    if target == "png":  # which says it by the chunk
        assert png_chunk(content, b"cICP") == b"\x0c\x0d\0\1"
        return
    written = Image.open(io.BytesIO(content))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(written.info["icc_profile"]))
    seen = ImageCms.profileToProfile(written.convert("RGB"), profile, ImageCms.createProfile("sRGB"))
    assert difference(np.asarray(seen), shown(source)) < 1


def test_what_is_converted_is_said():
    linear, grey = read_photo(SOURCES["gAMA 1.0"]()), read_photo(SOURCES["grey profile"]())
    assert "linear values were converted to the curve of sRGB" in losses(linear, "jpeg")[-1]
    assert losses(linear, "tiff") == losses(linear, "png") == ()
    assert "grey was converted from its colour profile to sRGB" in losses(grey, "webp")[0]
    assert losses(grey, "jpeg") == ()


def test_a_linear_profile_gets_the_curve_of_srgb_where_bits_are_few():
    """In 8 bits its darkest steps are a dozen levels wide."""
    photo = read_photo(SOURCES["linear profile"]())
    assert "linear values were converted to the curve of sRGB" in losses(photo, "webp")[-1]
    assert read_photo(encode_photo(photo, "tiff")).metadata.icc == photo.metadata.icc
    written = read_photo(encode_photo(photo, "jpeg", quality=100))
    before = np.sqrt(photo.pixels / 65535)
    assert np.abs(written.pixels[:, :4].astype(float).mean() - 255 * before[:, :4].mean()) < 8
    profile = ImageCms.ImageCmsProfile(io.BytesIO(written.metadata.icc))
    assert len(written.metadata.icc) == int.from_bytes(written.metadata.icc[:4], "big")
    source = ImageCms.ImageCmsProfile(io.BytesIO(photo.metadata.icc))
    assert profile.profile.red_colorant == source.profile.red_colorant


@pytest.mark.parametrize(
    "curve",
    [
        struct.pack(">4s4xI", b"curv", 0),
        struct.pack(">4s4xIH", b"curv", 1, 256),
        struct.pack(">4s4xI2H", b"curv", 2, 0, 65535),
        struct.pack(">4s4xHxxi", b"para", 0, 65536),
        struct.pack(">4s4xHxx3i", b"para", 1, 65536, 65536, 0),
        struct.pack(">4s4xHxx4i", b"para", 2, 65536, 65536, 0, 0),
        struct.pack(">4s4xHxx5i", b"para", 3, 65536, 65536, 0, 65536, 0),
        struct.pack(">4s4xHxx7i", b"para", 4, 65536, 65536, 0, 65536, 0, 0, 0),
    ],
)
def test_every_way_to_state_a_linear_curve_is_known(curve):
    profile = with_curve(grey_linear_profile(), curve)
    values = np.linspace(0, 1, 9)
    expected = np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)
    assert np.allclose(profiles.grey_to_srgb(profile)(values), expected, atol=1e-4)
    assert profiles.in_srgb_curve(profile)


@pytest.mark.parametrize("curve", [b"curv", b"text" + bytes(20), struct.pack(">4s4xHxx", b"para", 9)])
def test_a_curve_without_sense_is_left_to_the_colour_engine(curve):
    assert profiles.grey_to_srgb(with_curve(grey_linear_profile(), curve)) is None
    assert profiles.in_srgb_curve(b"short") is None


def with_curve(icc: bytes, curve: bytes) -> bytes:
    """A profile of grey with another curve, which is put behind the rest."""
    entry = icc.index(b"kTRC")
    return icc[: entry + 4] + struct.pack(">II", len(icc), len(curve)) + icc[entry + 12 :] + curve


def test_a_profile_of_grey_says_nothing_of_a_picture_in_colour():
    photo = read_photo(saved("png", gradients(), icc_profile=grey_linear_profile()))
    assert losses(photo, "jpeg") == ()


def test_a_profile_behind_cicp_stays_in_a_png():
    content = SOURCES["cICP before a profile"]()
    after = encode_photo(read_photo(content))
    assert png_chunk(after, b"iCCP") == png_chunk(content, b"iCCP") != b""
    assert after.count(b"iCCP") == 1
    unspecified = read_photo(content.replace(*both_with_checksums(b"\x0c\x0d\0\1", b"\2\2\0\1")))
    assert unspecified.metadata.icc == Colours(gamma=1.8).profile(grey=False)


def both_with_checksums(before: bytes, after: bytes) -> tuple[bytes, bytes]:
    one, other = (b"cICP" + body + struct.pack(">I", zlib.crc32(b"cICP" + body)) for body in (before, after))
    return one, other


def test_hdr_with_a_profile_beside_it_is_refused_all_the_same():
    plain = saved("png", gradients(), icc_profile=p3_profile())
    with pytest.raises(OutputError, match="HDR"):
        encode_photo(read_photo(with_chunk(plain, b"cICP", b"\x09\x10\0\1")), "jpeg")


def test_a_grey_picture_stays_grey_when_it_is_converted():
    pixels = read_photo(encode_photo(read_photo(SOURCES["grey profile"]()), "avif")).pixels
    assert (pixels == pixels[..., :1]).all()


# HDR


@pytest.fixture
def pq() -> Photo:
    return read_photo(with_chunk(plain_png(), b"cICP", b"\x09\x10\0\1"))


def test_hdr_goes_into_avif_and_back_with_its_meaning(pq):
    content = encode_photo(pq, "avif")
    assert b"colrnclx\0\x09\0\x10\0\x06\x80" in content
    assert np.abs(read_photo(content).pixels.astype(float) - pq.pixels).mean() / 257 < 1
    assert np.abs(np.asarray(Image.open(io.BytesIO(content))) - pq.pixels / 257).mean() < 1.5
    assert png_chunk(encode_photo(read_photo(content), "png"), b"cICP") == b"\x09\x10\0\1"


def test_an_avif_of_an_unknown_layout_is_not_given_code_points(pq):
    content = encode_photo(Photo(pq.pixels, bits=16), "avif")
    assert avif.with_nclx(content, 9, 16).endswith(content[content.index(b"mdat") :])
    for sign in (b"iloc", b"ipma"):
        assert avif.with_nclx(content.replace(sign + bytes(4), sign + b"\1\0\0\0"), 9, 16) is None
    assert avif.with_nclx(content[:60], 9, 16) is None


def test_an_avif_keeps_code_points_exif_and_transparency_together(pq):
    alpha = pq.pixels[..., 0].copy()
    exif = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHI4s", 271, 2, 4, b"Abc\0") + bytes(4)
    photo = Photo(pq.pixels, alpha=alpha, bits=16, metadata=Metadata(exif=exif, colours=pq.metadata.colours))
    again = read_photo(encode_photo(photo, "avif"))
    assert again.metadata.exif == exif
    assert again.metadata.colours.cicp[:2] == (9, 16)
    assert np.abs(again.alpha.astype(float) - alpha).max() < 257


@pytest.mark.parametrize("target", ["jpeg", "tiff", "webp"])
def test_hdr_is_refused_where_it_would_lose_its_meaning(pq, target):
    with pytest.raises(
        OutputError, match=r"x: .* cannot state its HDR colours \(PQ\); write it as png or avif"
    ):
        encode_photo(pq, target, name="x")


def test_a_limited_range_of_a_png_stays_in_a_png():
    photo = read_photo(with_chunk(plain_png(), b"cICP", b"\x01\x0d\0\0"))
    assert png_chunk(encode_photo(photo), b"cICP") == b"\x01\x0d\0\0"
    with pytest.raises(OutputError, match=r"colours of limited range; write it as png\."):
        encode_photo(photo, "avif")


# Monochrome AVIF


@pytest.mark.parametrize("limited", [False, True])
def test_a_monochrome_avif_is_grey_from_black_to_white(limited):
    grey = np.ascontiguousarray(np.tile(np.arange(256, dtype=np.uint8), (16, 1)))
    range_ = "limited" if limited else "full"
    content = saved("avif", grey, quality=100, subsampling="4:0:0", range=range_)
    photo = read_photo(content)
    assert photo.grey
    assert np.abs(photo.pixels[..., 0].astype(int) - np.asarray(Image.open(io.BytesIO(content)))).max() <= 1
    assert (photo.pixels.min(), photo.pixels.max()) == (0, 255)
    assert read_photo(saved("avif", gradients())).grey is False


# Numbers


def test_the_usual_numbers_need_no_profile():
    assert Colours.of_cicp(2, 2) is None
    assert Colours.of_cicp(1, 13).profile(grey=False) is None
    assert Colours.of_cicp(1, 1).profile(grey=False) is None  # video, which browsers show as sRGB
    assert (
        Colours.of_png(None, struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
        is None
    )


@pytest.mark.parametrize("chunk", [bytes(32), b"\xff" * 32, struct.pack(">8I", *[30000] * 8), b"short"])
def test_chromaticities_without_sense_are_passed_over(chunk):
    assert Colours.of_png(None, chunk) is None
    assert Colours.of_png((100_000).to_bytes(4, "big"), chunk).profile(grey=False)


@pytest.mark.parametrize("gamma", [0, 1, 4_000_000_000])
def test_a_gamma_without_sense_is_passed_over(gamma):
    assert Colours.of_png(gamma.to_bytes(4, "big"), None) is None


@pytest.mark.parametrize("kind", ["png", "avif"])
def test_stripping_keeps_what_colours_mean(kind):
    content = SOURCES["cICP" if kind == "png" else "nclx"]()
    for target in WRITABLE:
        after = shown(encode_photo(read_photo(content), target, strip_metadata=True))
        assert difference(after, shown(content)) < 1

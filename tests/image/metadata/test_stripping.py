"""Metadata go from a file, pixels stay as they are coded."""

import io
import json
import shutil
import struct
import subprocess
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from clearair.image import read_photo, stripped

SECRETS = (b"someone", b"at home", b"2020:02:03", b"a secret thumbnail", b"trailing words")
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>someone, at home</x:xmpmeta>"


def strip(content: bytes, kind: str) -> bytes | None:
    return stripped(content, kind, read_photo(content).metadata)


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x010F], block[0x0112] = "someone", orientation
    block.get_ifd(0x8769)[0x9003] = "2020:02:03 04:05:06"
    block.get_ifd(0x8825)[1] = "N"
    return block.tobytes()


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


@pytest.fixture
def jpeg(saved, srgb):
    """A JPEG file with everything in it, and something behind it."""

    def make(orientation: int = 1, **options) -> bytes:
        content = saved(
            "jpeg",
            exif=exif(orientation),
            icc_profile=srgb,
            dpi=(300, 150),
            comment=b"at home",
            xmp=XMP,
            **options,
        )
        at = content.index(b"\xff\xdb")
        iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0c\x1c\x02\x50\0\x07someone"
        between = (
            segment(0xED, iptc) + segment(0xE5, b"at home") + segment(0xEE, b"Adobe\0d\0\0\0\0\1someone")
        )
        return content[:at] + between + content[at:] + b"trailing words"

    return make


@pytest.fixture
def png(saved, srgb):
    """The same as PNG."""

    def make(orientation: int = 1, **options) -> bytes:
        texts = PngInfo()
        texts.add_text("Author", "someone")
        texts.add_itxt("Place", "at home", zip=False)
        texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
        texts.add(b"tIME", b"\x07\xe4\2\3\4\5\6")
        texts.add(b"prVt", b"someone")
        texts.add(b"sBIT", b"\7\7\7")
        content = saved(
            "png", exif=exif(orientation)[6:], icc_profile=srgb, dpi=(300, 300), pnginfo=texts, **options
        )
        return content + b"trailing words"

    return make


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 60}])
def test_a_jpeg_keeps_its_codes_and_how_they_are_shown(jpeg, srgb, orientation, options):
    content = jpeg(orientation, **options)
    result = strip(content, "jpeg")
    assert not [secret for secret in SECRETS if secret in result]
    before, after = read_photo(content), read_photo(result)
    np.testing.assert_array_equal(after.pixels, before.pixels)
    assert after.metadata.orientation == orientation
    assert (after.metadata.icc, after.metadata.density) == (srgb, before.metadata.density)
    assert (after.metadata.xmp, after.metadata.iptc, after.metadata.extras) == (None, None, ())
    assert result[-200:] == content[: -len(b"trailing words")][-200:]
    assert len(result) < len(content)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_stay_what_they_are(coffee, mode):
    file = io.BytesIO()
    Image.fromarray(coffee).convert(mode).save(file, "jpeg", comment=b"at home")
    result = strip(file.getvalue(), "jpeg")
    assert b"at home" not in result
    after = Image.open(io.BytesIO(result))
    assert after.mode == mode
    np.testing.assert_array_equal(np.asarray(after), np.asarray(Image.open(file)))


def test_rgb_in_a_jpeg_without_a_jfif_segment_stays_rgb(coffee):
    file = io.BytesIO()
    Image.fromarray(coffee).save(file, "jpeg", keep_rgb=True, comment=b"at home")
    result = strip(file.getvalue(), "jpeg")
    assert b"JFIF" not in result
    np.testing.assert_array_equal(read_photo(result).pixels, read_photo(file.getvalue()).pixels)


def test_segments_between_scans_go_too(saved):
    content = saved("jpeg", progressive=True)
    second = content.index(b"\xff\xda", content.index(b"\xff\xda") + 2)
    second = content.rindex(b"\xff\xc4", 0, second)
    result = strip(content[:second] + segment(0xFE, b"at home") + content[second:], "jpeg")
    assert result == strip(content, "jpeg")


@pytest.mark.parametrize("orientation", [1, 8])
@pytest.mark.parametrize("mode", ["RGB", "P", "LA"])
def test_a_png_keeps_its_packed_pixels_and_how_they_are_shown(png, coffee, srgb, orientation, mode):
    if mode == "RGB":
        content = png(orientation)
    else:
        file = io.BytesIO()
        Image.fromarray(coffee).convert(mode).save(file, "png", exif=exif(orientation)[6:])
        content = file.getvalue()
    result = strip(content, "png")
    assert not [secret for secret in SECRETS if secret in result]
    before, after = read_photo(content), read_photo(result)
    np.testing.assert_array_equal(after.pixels, before.pixels)
    assert after.metadata.orientation == orientation
    assert (after.metadata.icc, after.metadata.density) == (before.metadata.icc, before.metadata.density)
    assert {name for name, _ in after.metadata.extras} == set()
    start = content.index(b"IDAT")
    assert content[start : start + 100] in result
    assert (b"sBIT" in result) == (mode == "RGB")
    assert Image.open(io.BytesIO(result)).mode == mode


def test_what_needs_another_encoding_is_left_to_it(saved, coffee, srgb):
    assert strip(saved("webp"), "webp") is None
    assert strip(saved("tiff"), "tiff") is None
    animated = saved("png", save_all=True, append_images=[Image.fromarray(coffee[::-1])])
    assert strip(animated, "png") is None
    digits = b"\nicc\n%8d\n" % len(srgb) + srgb.hex().encode() + b"\n"
    texts = PngInfo()
    texts.add_text("Raw profile type icc", digits.decode())
    assert strip(saved("png", pnginfo=texts), "png") is None
    content = saved("jpeg")
    assert stripped(content[:-2], "jpeg", read_photo(content).metadata) is None


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_exiftool_finds_nothing_private(jpeg, png, kind, tmp_path):
    def tags(content: bytes) -> dict[str, object]:
        path = tmp_path / f"a.{kind}"
        path.write_bytes(content)
        said = subprocess.run(
            ["exiftool", "-j", "-G1", "-a", "-u", "-U", str(path)], capture_output=True, check=True
        )
        found = json.loads(said.stdout)[0]
        beside = ("ExifTool:", "System:", "File:", "Composite:", "SourceFile", "ICC")
        return {name: value for name, value in found.items() if not name.startswith(beside)}

    content = {"jpeg": jpeg, "png": png}[kind](6)
    assert {"IFD0:Make", "ExifIFD:DateTimeOriginal"} <= set(tags(content))
    left = tags(strip(content, kind))
    coding = {"JFIF", "Adobe", "PNG", "PNG-pHYs"}
    assert {name for name in left if name.split(":")[0] not in coding} == {"IFD0:Orientation"}
    assert not any("someone" in str(value) or "home" in str(value) for value in left.values())


def test_a_profile_in_a_png_loses_the_name_that_somebody_gave_it(saved, srgb):
    content = saved("png", icc_profile=srgb)
    at = content.index(b"iCCP")
    length = int.from_bytes(content[at - 4 : at], "big")
    body = b"someone" + content[at + 4 : at + 4 + length].removeprefix(b"ICC Profile")
    chunk = struct.pack(">I", len(body)) + b"iCCP" + body + struct.pack(">I", zlib.crc32(b"iCCP" + body))
    result = strip(content[: at - 4] + chunk + content[at + 8 + length :], "png")
    assert b"someone" not in result
    assert read_photo(result).metadata.icc == srgb

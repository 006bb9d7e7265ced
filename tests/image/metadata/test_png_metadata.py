"""What plain libvips loses of a PNG, beside what is kept of it."""

import io

import pytest
import pyvips
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from clearair.image import Metadata, Photo, encode_photo, read_photo

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description a:b="c"/></x:xmpmeta>'
COLOUR = {
    b"gAMA": (45455).to_bytes(4, "big"),
    b"cHRM": b"".join(
        value.to_bytes(4, "big") for value in (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    ),
    b"sRGB": b"\1",
    b"cICP": b"\x09\x10\0\1",
    b"tIME": b"\x07\xe4\1\2\3\4\5",
}


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def test_libvips_drops_an_rgb_profile_of_a_grey_picture(saved, coffee, srgb):
    content = saved("png", coffee[..., 0], icc_profile=srgb)
    assert not pyvips.Image.new_from_buffer(content, "").get_typeof("icc-profile-data")
    written = opened(encode_photo(read_photo(content)))
    assert (written.mode, written.info["icc_profile"]) == ("L", srgb)


def test_libvips_cuts_a_profile_where_it_says_that_it_ends(coffee, srgb):
    profile = srgb + b"and more"
    content = encode_photo(Photo(coffee, metadata=Metadata(icc=profile)))
    assert pyvips.Image.new_from_buffer(content, "").get("icc-profile-data") == srgb
    assert read_photo(content).metadata.icc == profile


def test_libvips_makes_up_a_resolution(saved, by_libvips_alone):
    content = saved("png")
    assert "dpi" in opened(by_libvips_alone(content, "png")).info
    assert "dpi" not in opened(encode_photo(read_photo(content))).info
    assert opened(encode_photo(read_photo(saved("png", dpi=(300, 150))))).info["dpi"] == pytest.approx(
        (300, 150), abs=0.1
    )


@pytest.mark.parametrize("name", COLOUR)
def test_libvips_loses_what_colours_mean_and_the_time(saved, by_libvips_alone, name):
    info = PngInfo()
    info.add(name, COLOUR[name])
    content = saved("png", pnginfo=info)
    assert name in content
    assert name not in by_libvips_alone(content, "png")
    assert name + COLOUR[name] in encode_photo(read_photo(content))


def test_libvips_loses_the_language_of_a_text(saved, by_libvips_alone):
    info = PngInfo()
    info.add_itxt("Title", "Über das Meer", lang="de", tkey="Titel")
    content = saved("png", pnginfo=info)
    alone, ours = (
        opened(each) for each in (by_libvips_alone(content, "png"), encode_photo(read_photo(content)))
    )
    assert getattr(alone.text["Title"], "lang", None) is None
    assert (ours.text["Title"], ours.text["Title"].lang, ours.text["Title"].tkey) == (
        "Über das Meer",
        "de",
        "Titel",
    )


def test_libvips_writes_xmp_where_no_reader_looks_for_it(saved, by_libvips_alone):
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    content = saved("png", pnginfo=info)
    assert b"iTXtXML:com.adobe.xmp" not in by_libvips_alone(content, "png")
    assert b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + XMP in encode_photo(read_photo(content))


def with_last_words(content: bytes) -> bytes:
    """The same file with its EXIF and XMP behind the pixels, where some programs put them."""
    chunks, at = [], 8
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunks.append(content[at : at + 12 + length])
        at += 12 + length
    late = [chunk for chunk in chunks if chunk[4:8] in (b"eXIf", b"iTXt")]
    return content[:8] + b"".join([*(chunk for chunk in chunks[:-1] if chunk not in late), *late, chunks[-1]])


@pytest.mark.parametrize("packed", [False, True])
def test_libvips_does_not_look_behind_the_pixels(saved, exif, packed):
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=packed)
    before = saved("png", pnginfo=info, exif=exif)
    content = with_last_words(before)
    assert content.index(b"IDAT") < content.index(b"eXIf")
    image = pyvips.Image.new_from_buffer(content, "")
    assert not image.get_typeof("exif-data")
    assert not image.get_typeof("xmp-data")
    metadata = read_photo(content).metadata
    assert (metadata.exif, metadata.xmp) == (exif, XMP)
    assert metadata == read_photo(before).metadata


def test_libvips_rebuilds_exif(saved, by_libvips_alone, exif):
    content = saved("png", exif=exif)
    assert exif not in by_libvips_alone(content, "png")
    assert b"eXIf" + exif in encode_photo(read_photo(content))


def test_libvips_does_not_count_the_frames_of_an_animation(saved, coffee):
    content = saved("png", save_all=True, append_images=[Image.fromarray(coffee[::-1])])
    assert not pyvips.Image.new_from_buffer(content, "").get_typeof("n-pages")
    assert "only the first of 2 frames" in read_photo(content).notes[0]


def test_a_profile_takes_the_place_of_the_chunk_that_says_srgb(coffee, srgb):
    photo = Photo(coffee, metadata=Metadata(icc=srgb, extras=(("sRGB", b"\0"), ("gAMA", bytes(4)))))
    written = encode_photo(photo)
    assert b"sRGB\0" not in written.replace(srgb, b"")
    assert b"iCCP" in written
    assert b"gAMA" in written

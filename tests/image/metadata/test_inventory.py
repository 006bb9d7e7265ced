"""What a file holds beside its pixels: kept, or named where it cannot be."""

import io
import struct
import zlib

import numpy as np
import pytest
import pyvips
from PIL import Image

from clearair.image import Metadata, Photo, encode_photo, holdings, losses, read_photo
from clearair.image.metadata.directories import Directory, Tag, read_directory, replace_first_directory

CAMERA = "http://ns.google.com/photos/1.0/camera/"
VIDEO = struct.pack(">I8sI8s", 24, b"ftypmp42", 0, b"isommp42") + b"\0\0\1\0mdat" + bytes(range(248))
GEO = {
    33550: Tag(12, 3, struct.pack("<3d", 10, 10, 0)),
    33922: Tag(12, 6, struct.pack("<6d", 0, 0, 0, 500_000, 4_500_000, 0)),
    34735: Tag.short(1, 1, 0, 1, 1024, 0, 1, 1),
    42112: Tag.opaque(b"<GDALMetadata/>\0", kind=2),
}
LAYERS, IPTC, PHOTOSHOP = 37724, 33723, 34377
CAPTION = b"\x1c\x02\x78\0\x05Hello\x1c\x02\x19\0\x03sea"
RESOURCES = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(CAPTION)) + CAPTION + bytes(len(CAPTION) % 2)
PATH = b"8BIM\x07\xd0\0\0\0\0\0\x04path"
THUMBNAIL = b"8BIM\x04\x0c\0\0\0\0\0\x06tiny!!"


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(content: bytes, *segments: tuple[int, bytes]) -> bytes:
    return content[:2] + b"".join(segment(*each) for each in segments) + content[2:]


def packet(attributes: str = "", inside: str = "") -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="kept" {attributes}>{inside}'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def xmp_segment(*arguments: str) -> tuple[int, bytes]:
    return 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet(*arguments)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunks(content: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    return content[:33] + b"".join(chunk(*each) for each in chunks) + content[33:]


def with_tags(content: bytes, tags: dict[int, Tag]) -> bytes:
    directory = read_directory(content)
    return replace_first_directory(content, Directory({**directory.tags, **tags}, directory.children))


def tags_of(content: bytes) -> dict[int, Tag]:
    return dict(read_directory(content).tags)


# Motion photos and further pictures


def test_the_video_of_a_motion_photo_is_named_and_no_longer_announced(saved):
    announced = f'xmlns:C="{CAMERA}" C:MicroVideo="1" C:MicroVideoOffset="9" C:MotionPhoto="1" C:BurstID="7"'
    content = with_segments(saved("jpeg"), xmp_segment(announced)) + VIDEO
    photo = read_photo(content)
    assert photo.notes == ("left out: video (motion photo)",)
    assert holdings(photo).left_out == ("video (motion photo)",)
    written = read_photo(encode_photo(photo))
    assert b"MicroVideo" not in written.metadata.xmp
    assert b"MotionPhoto" not in written.metadata.xmp
    assert b'C:BurstID="7"' in written.metadata.xmp
    assert b'dc:format="kept"' in written.metadata.xmp
    assert (written.notes, written.left_out) == ((), ())


def test_a_gain_map_and_a_video_behind_it_are_told_apart(saved):
    map_itself = with_segments(
        saved("jpeg"), xmp_segment('xmlns:h="http://ns.adobe.com/hdr-gain-map/1.0/" h:Version="1.0"')
    )
    listed = (
        '<Container:Directory xmlns:Container="http://ns.google.com/photos/1.0/container/"><rdf:Seq>'
        '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap"/></rdf:li></rdf:Seq>'
        "</Container:Directory><dc:title>kept too</dc:title>"
    )
    photo = read_photo(with_segments(saved("jpeg"), xmp_segment("", listed)) + map_itself + VIDEO)
    assert photo.left_out == ("HDR gain map", "video (motion photo)")
    xmp = read_photo(encode_photo(photo)).metadata.xmp
    assert b"Container:Item" not in xmp
    assert b"GainMap" not in xmp
    assert b"<dc:title>kept too</dc:title>" in xmp


def test_only_pictures_that_are_there_count(saved):
    index = (0xE2, b"MPF\0II*\0\x08\0\0\0\x01\0\x01\xb0\x04\0\x01\0\0\0\x01\0\0\0\0\0\0\0")
    alone = with_segments(saved("jpeg"), index)
    assert read_photo(alone).notes == ()
    assert b"MPF\0" not in encode_photo(read_photo(alone))
    assert read_photo(alone + bytes(100)).notes == ()
    assert read_photo(alone + saved("jpeg")).notes == ("left out: a further picture",)


@pytest.mark.parametrize("progressive", [False, True])
def test_other_data_behind_the_picture_are_counted(saved, progressive):
    content = saved("jpeg", progressive=progressive)
    assert read_photo(content + b"FOTOSTATION" * 4).left_out == ("44 bytes of other data",)
    assert read_photo(content + b"Image_UTC_Data" + b"SEFT").left_out == ("Samsung data",)
    assert read_photo(saved("png") + b"FOTOSTATION").left_out == ("11 bytes of other data",)
    assert read_photo(saved("webp") + b"FOTOSTATION").left_out == ("11 bytes of other data",)


@pytest.mark.parametrize("kind", ["png", "tiff", "webp", "avif", "gif"])
def test_further_frames_and_pages_are_counted(saved, coffee, kind):
    others = [Image.fromarray(coffee[::-1]), Image.fromarray(coffee)]
    content = saved(kind, save_all=True, append_images=others)
    photo = read_photo(content)
    name = "2 of 3 pages" if kind == "tiff" else "2 of 3 frames"
    assert holdings(photo).left_out == (name,)
    assert "only the first of 3" in photo.notes[0]


# Segments of a JPEG


@pytest.mark.parametrize(
    ("marker", "body", "name"),
    [
        (0xE1, b"FLIR\0\1\0\0" + bytes(range(200)), "thermal data (FLIR)"),
        (0xE5, b"RMETA\0\0" + b"x" * 20, "APP5 segment (RMETA)"),
        (0xE2, b"FPXR\0" + b"x" * 20, "APP2 segment (FPXR)"),
        (0xEF, b"\0\1\2", "APP15 segment"),
        (0xFE, b"at sea", "comment"),
    ],
)
def test_segments_that_stay_true_stay_in_a_jpeg_and_are_named_elsewhere(saved, marker, body, name):
    photo = read_photo(with_segments(saved("jpeg"), (marker, body)))
    assert segment(marker, body) in encode_photo(photo)
    assert (losses(photo, "jpeg"), holdings(photo, "jpeg").left_out) == ((), ())
    assert name in holdings(photo, "jpeg").kept
    assert losses(photo, "png") == (f"left out, as png has no place for it: {name}",)
    assert holdings(photo, "png").left_out == (name,)
    assert holdings(photo, "png", strip_metadata=True).left_out == ()


@pytest.mark.parametrize(
    ("marker", "body", "name"),
    [
        (0xEB, b"JP\0\1\0\0\0\1\0\0\0\x20jumb\0\0\0\x18jumdc2pa" + bytes(16), "C2PA signature"),
        (0xEB, b"JP\0\1\0\0\0\1\0\0\0\x20jumb" + bytes(24), "JUMBF data (such as a C2PA signature)"),
        (0xEB, b"HDR_RI ver=11", "HDR ratio image"),
        (0xE0, b"JFXX\0\x10" + bytes(20), "thumbnail"),
    ],
)
def test_segments_that_depend_on_pixels_are_left_out_and_named(saved, marker, body, name):
    photo = read_photo(with_segments(saved("jpeg"), (marker, body)))
    assert photo.notes == (f"left out: {name}",)
    assert body not in encode_photo(photo)


def test_how_a_jpeg_is_coded_is_no_piece_of_it(saved):
    adobe = (0xEE, b"Adobe\0\x64\0\0\0\0\1")
    photo = read_photo(with_segments(saved("jpeg"), adobe))
    assert (photo.notes, photo.metadata.extras) == ((), ())


def test_pixels_that_are_not_square_stay_so(saved):
    content = saved("jpeg")
    at = content.index(b"JFIF\0") + 7
    content = content[:at] + struct.pack(">BHH", 0, 2, 1) + content[at + 5 :]
    assert encode_photo(read_photo(content))[at : at + 5] == struct.pack(">BHH", 0, 2, 1)
    assert holdings(read_photo(content), "png").left_out == ("aspect of pixels",)


# Tags of a TIFF


def test_georeference_stays_in_a_tiff_and_is_named_elsewhere(saved):
    photo = read_photo(with_tags(saved("tiff"), GEO))
    written = tags_of(encode_photo(photo))
    assert {number: written[number] for number in GEO} == GEO
    assert losses(photo, "tiff") == ()
    assert losses(photo, "jpeg") == ("left out, as jpeg has no place for it: GeoTIFF tags, GDAL tags",)
    assert holdings(photo, "jpeg").left_out == ("GeoTIFF tags", "GDAL tags")


def test_private_tags_stay_but_not_those_that_point_into_their_file(saved):
    content = with_tags(
        saved("tiff"), {65000: Tag.short(7), 34412: Tag.short(7), 65001: Tag(13, 1, bytes(4))}
    )
    photo = read_photo(content)
    written = tags_of(encode_photo(photo))
    assert written[65000] == Tag.short(7)
    assert not {34412, 65001} & set(written)
    assert set(photo.left_out) == {"tag 34412", "tag 65001"}
    assert holdings(photo, "png").left_out[-1] == "tag 65000"


@pytest.mark.parametrize(
    ("number", "tag", "name"),
    [
        (LAYERS, Tag.opaque(b"Adobe Photoshop Document Data Block\0"), "Photoshop layers"),
        (330, Tag(4, 2, struct.pack("<2I", 8, 8)), "2 further pictures"),
        (52545, Tag.opaque(b"jumb"), "C2PA signature"),
    ],
)
def test_tags_that_depend_on_pixels_are_left_out_and_named(saved, number, tag, name):
    photo = read_photo(with_tags(saved("tiff"), {number: tag}))
    assert photo.notes[0].startswith(f"left out: {name}")
    assert number not in tags_of(encode_photo(photo))


def test_a_resolution_without_a_unit_stays_in_a_tiff(saved):
    sides = {282: Tag.rational(2), 283: Tag.rational(1), 296: Tag.short(1)}
    photo = read_photo(with_tags(saved("tiff"), sides))
    written = tags_of(encode_photo(photo))
    assert {number: written[number] for number in sides} == sides
    assert holdings(photo, "png").left_out == ("aspect of pixels",)


# IPTC


@pytest.mark.parametrize("target", ["jpeg", "tiff", "png", "webp", "avif"])
def test_iptc_of_a_jpeg_goes_where_there_is_a_place_for_it(saved, target):
    photo = read_photo(with_segments(saved("jpeg"), (0xED, b"Photoshop 3.0\0" + RESOURCES + PATH)))
    content = encode_photo(photo, target)
    held = target in ("jpeg", "tiff")
    assert (CAPTION in content) == held
    assert (PATH in content) == held
    assert holdings(photo, target).left_out == (() if held else ("IPTC", "Photoshop resources"))
    if target == "tiff":
        assert tags_of(content)[IPTC].data == CAPTION
        assert tags_of(content)[PHOTOSHOP].data == PATH
        assert b"Photoshop 3.0\0" + RESOURCES + PATH in encode_photo(read_photo(content), "jpeg")


def test_iptc_longer_than_a_segment_goes_over_several(coffee):
    caption = b"\x1c\x02\x78\x80\x04" + struct.pack(">I", 100_000) + b"a" * 100_000
    content = encode_photo(Photo(coffee, format="tiff", metadata=Metadata(iptc=caption)), "jpeg")
    assert read_photo(content).metadata.iptc == caption


@pytest.mark.parametrize("kind", ["jpeg", "tiff"])
def test_the_preview_among_resources_goes_and_is_named(saved, kind):
    if kind == "jpeg":
        content = with_segments(saved("jpeg"), (0xED, b"Photoshop 3.0\0" + THUMBNAIL + RESOURCES))
    else:
        content = with_tags(saved("tiff"), {PHOTOSHOP: Tag.opaque(THUMBNAIL + RESOURCES)})
    photo = read_photo(content)
    assert photo.notes == ("left out: thumbnail",)
    assert b"tiny!!" not in encode_photo(photo)
    assert CAPTION in encode_photo(photo)


# Chunks of PNG and WebP


def test_chunks_that_are_safe_to_copy_stay_in_a_png_and_others_are_named(saved):
    content = with_chunks(saved("png"), (b"vpAg", b"safe"), (b"prVT", b"not safe"), (b"caBX", b"jumb"))
    photo = read_photo(content)
    assert photo.notes == ("left out: chunk prVT, C2PA signature",)
    assert chunk(b"vpAg", b"safe") in encode_photo(photo)
    assert b"prVT" not in encode_photo(photo)
    assert holdings(photo, "jpeg").left_out == ("chunk prVT", "C2PA signature", "chunk vpAg")


def test_texts_of_a_png_are_named_by_their_key(saved):
    photo = read_photo(with_chunks(saved("png"), (b"tEXt", b"Author\0someone"), (b"tIME", bytes(7))))
    assert losses(photo, "png") == ()
    assert losses(photo, "webp") == ("left out, as webp has no place for it: text 'Author', time of change",)


def raw_profile(kind: str, content: bytes) -> tuple[bytes, bytes]:
    """As ImageMagick writes it."""
    text = f"\n{kind}\n{len(content):8}\n{content.hex()}\n".encode()
    return b"zTXt", f"Raw profile type {kind}".encode() + b"\0\0" + zlib.compress(text)


def test_metadata_that_imagemagick_writes_as_text_are_read(saved, exif, srgb):
    content = with_chunks(
        saved("png"),
        raw_profile("exif", b"Exif\0\0" + exif),
        raw_profile("xmp", packet()),
        raw_profile("icc", srgb),
        raw_profile("iptc", RESOURCES),
    )
    metadata = read_photo(content).metadata
    assert (metadata.exif, metadata.xmp, metadata.icc, metadata.iptc) == (exif, packet(), srgb, CAPTION)
    again = read_photo(encode_photo(read_photo(content), "jpeg")).metadata
    assert (again.exif, again.xmp, again.icc, again.iptc) == (exif, packet(), srgb, CAPTION)
    assert holdings(read_photo(content), "jpeg").left_out == ()


def test_such_a_text_turns_the_picture_as_exif_does(saved):
    block = Image.Exif()
    block[274] = 6
    photo = read_photo(with_chunks(saved("png"), raw_profile("exif", block.tobytes())))
    assert photo.size == (40, 56)
    assert read_photo(encode_photo(photo, "jpeg")).size == (40, 56)


@pytest.mark.parametrize(
    "text", [b"\nexif\n      99\n4578\n", b"\nexif\nmany\n4578\n", b"", b"\nexif\n 2\nxy\n"]
)
def test_such_a_text_with_a_fault_stays_a_text(saved, text):
    body = b"Raw profile type exif\0" + text
    photo = read_photo(with_chunks(saved("png"), (b"tEXt", body)))
    assert photo.metadata.exif is None
    assert photo.metadata.extras == (("tEXt", body),)


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_unknown_chunks_stay_in_a_webp(coffee, lossless, alpha):
    opacity = np.ascontiguousarray(coffee[..., 0]) if alpha else None
    packing = "lossless" if lossless else ""
    metadata = Metadata(extras=(("ABCD", b"mine!"),))
    plain = Photo(coffee, alpha=opacity, format="webp", compression=packing)
    content = encode_photo(
        Photo(coffee, alpha=opacity, format="webp", compression=packing, metadata=metadata)
    )
    again = read_photo(content)
    assert again.metadata.extras == metadata.extras
    assert (again.alpha is not None) == alpha
    assert np.array_equal(again.pixels, read_photo(encode_photo(plain)).pixels)
    assert Image.open(io.BytesIO(content)).size == (56, 40)
    assert holdings(again, "png").left_out == ("chunk ABCD",)


# Previews, orientation, resolution, comments of a GIF


def test_a_preview_in_exif_is_named(coffee):
    block = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHIHH", 274, 3, 1, 1, 0) + struct.pack("<I", 26) + bytes(6)
    photo = read_photo(
        encode_photo(Photo(coffee, format="png", metadata=Metadata(exif=block[:22] + bytes(10))))
    )
    assert photo.notes == ()
    content = with_segments(encode_photo(photo, "jpeg"))
    at = content.index(b"II*\0")
    photo = read_photo(content[:at] + block + content[at + len(block) :])
    assert photo.notes == ("left out: thumbnail",)
    assert read_photo(encode_photo(photo)).notes == ()


@pytest.mark.parametrize("target", ["png", "tiff", "webp", "avif", "jpeg"])
def test_an_orientation_that_only_xmp_states_is_neither_applied_nor_lost(saved, target):
    stated = packet('xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"')
    content = with_segments(saved("jpeg"), (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + stated))
    photo = read_photo(content)
    assert photo.size == (56, 40)
    assert b'tiff:Orientation="6"' in encode_photo(photo, target)


def test_a_resolution_outside_exif_is_named_where_there_is_no_place_for_it(saved):
    photo = read_photo(saved("jpeg", dpi=(300, 300)))
    assert holdings(photo, "png").left_out == ()
    assert losses(photo, "webp") == ("left out, as webp has no place for it: resolution",)


def test_comments_of_a_gif_are_named(coffee):
    image = pyvips.Image.new_from_array(coffee).copy(interpretation="srgb")
    content = bytes(image.gifsave_buffer())
    start = 13 + (3 << ((content[10] & 7) + 1))
    comment = b"\x21\xfe\x06at sea\0"
    photo = read_photo(content[:start] + comment + content[start:])
    assert read_photo(content).left_out == ()
    assert photo.left_out == ("comment",)


def test_a_thumbnail_in_jfif_is_named(saved):
    content = saved("jpeg")
    jfif = b"JFIF\0\1\1\0\0\1\0\1\1\2" + bytes(6)
    photo = read_photo(content[:2] + segment(0xE0, jfif) + content[20:])
    assert photo.left_out == ("thumbnail",)
    assert read_photo(content).left_out == ()


def test_what_stands_behind_a_gif_is_named(coffee):
    content = bytes(pyvips.Image.new_from_array(coffee).copy(interpretation="srgb").gifsave_buffer())
    assert read_photo(content + b"trailer").left_out == ("7 bytes of other data",)
    assert read_photo(content + bytes(7)).left_out == ()


@pytest.mark.parametrize(
    ("behind", "name"),
    [
        (struct.pack(">I4s", 16, b"mpvd") + bytes(8), "video (motion photo)"),
        (struct.pack(">I4s", 12, b"sefd") + b"SEFT", "Samsung data"),
        (struct.pack(">I4s", 32, b"uuid") + bytes(24), "data of another program"),
        (struct.pack(">I4s", 12, b"abcd") + b"1234", "box abcd"),
        (b"\0\0\0\2rest", "8 bytes of other data"),
    ],
)
def test_what_stands_behind_an_avif_is_named(saved, behind, name):
    content = saved("avif")
    assert read_photo(content).left_out == ()
    assert read_photo(content + behind).left_out == (name,)
    assert read_photo(content + struct.pack(">I4s", 12, b"free") + b"1234").left_out == ()

"""Metadata before and after by an independent judge, exiftool; skipped where it is not installed."""

import io
import json
import shutil
import struct
import subprocess

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from skimage import data

from clearair.image import encode_photo, holdings, read_photo
from clearair.image.metadata.directories import Directory, Tag, read_directory, replace_first_directory

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")

SUFFIXES = {"jpeg": "jpg", "png": "png", "tiff": "tif", "webp": "webp", "avif": "avif"}
NOT_ABOUT_CONTENT = ("System", "ExifTool", "File", "Composite")
STORAGE = {
    "StripOffsets", "StripByteCounts", "RowsPerStrip", "Compression", "Predictor", "SampleFormat", "Filter",
    "BitsPerSample", "PlanarConfiguration", "PhotometricInterpretation", "SamplesPerPixel", "ColorType",
    "ImageWidth", "ImageHeight", "ResolutionUnit", "XResolution", "YResolution", "Interlace", "BitDepth",
    "JFIFVersion", "MediaDataOffset", "MediaDataSize", "ImagePixelDepth", "ChromaFormat", "Rotation",
    "ChromaSamplePosition", "ImageSpatialExtent", "CompatibleBrands", "AV1ConfigurationVersion",
    "Warning", "ProfileName",
    "ColorProfiles", "ColorPrimaries", "TransferCharacteristics", "MatrixCoefficients", "MinorVersion",
    "HandlerType", "MajorBrand", "WebP_Flags", "HorizontalScale", "VerticalScale", "VP8Version",
    "PrimaryItemReference", "ExifByteOrder", "PixelUnits", "PixelsPerUnitX", "PixelsPerUnitY", "SubfileType",
}  # fmt: skip
"""How pixels are stored, in which of its own words a format says it."""
IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0a\x1c\x02\x78\0\x05Hello"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="a camera"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def tags(content: bytes, kind: str, folder) -> dict[str, object]:
    path = folder / f"picture.{SUFFIXES[kind]}"
    path.write_bytes(content)
    answer = subprocess.run(["exiftool", "-a", "-G1", "-s", "-j", path], capture_output=True, check=True)
    found = json.loads(answer.stdout)[0]
    grouped = {key: value for key, value in found.items() if ":" in key}
    return {
        key: value
        for key, value in grouped.items()
        if key.split(":")[0] not in NOT_ABOUT_CONTENT and key.split(":")[1] not in STORAGE
    }


def picture_of(kind: str) -> bytes:
    """A file with EXIF, XMP, a profile and what its own format has beside them."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    exif.get_ifd(0x8769)[0x9003] = "2020:02:03 04:05:06"
    exif.get_ifd(0x8825)[1], exif.get_ifd(0x8825)[2] = "N", (51.0, 30.0, 26.5)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {"exif": exif, "icc_profile": icc}
    if kind == "png":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
        options["pnginfo"].add_text("Author", "someone")
    elif kind != "tiff":
        options["xmp"] = XMP
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(data.coffee()[100:140, 150:206])).save(file, kind, **options)
    content = file.getvalue()
    if kind == "jpeg":
        return content[:2] + struct.pack(">BBH", 0xFF, 0xED, len(IPTC) + 2) + IPTC + content[2:]
    if kind == "tiff":
        return with_georeference(content)
    return content


def with_georeference(content: bytes) -> bytes:
    directory = read_directory(content)
    more = {
        33550: Tag(12, 3, struct.pack("<3d", 10, 10, 0)),
        33922: Tag(12, 6, struct.pack("<6d", 0, 0, 0, 500_000, 4_500_000, 0)),
        34735: Tag.short(1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32633),
        42113: Tag.opaque(b"-9999\0", kind=2),
    }
    return replace_first_directory(content, Directory({**directory.tags, **more}, directory.children))


@pytest.mark.parametrize("kind", SUFFIXES)
def test_the_same_format_keeps_all_of_it(tmp_path, kind):
    content = picture_of(kind)
    before = tags(content, kind, tmp_path)
    assert len(before) > 10
    assert tags(encode_photo(read_photo(content)), kind, tmp_path) == before


@pytest.mark.parametrize("target", SUFFIXES)
@pytest.mark.parametrize("kind", SUFFIXES)
def test_what_goes_in_another_format_is_named(tmp_path, kind, target):
    content = picture_of(kind)
    photo = read_photo(content)
    before, after = tags(content, kind, tmp_path), tags(encode_photo(photo, target), target, tmp_path)
    names = {"IPTC": "IPTC", "PNG": "text 'Author'", "GeoTiff": "GeoTIFF tags"}
    lost = {key.split(":")[0] for key in before if key not in after} - {"JFIF"}
    lost -= {"IFD0"} if kind == "tiff" else set()  # the tags that GeoTiff and the profile are made of
    assert {names[group] for group in lost} <= set(holdings(photo, target).left_out)

"""Names of valid but unsupported formats, so that no such file is called damaged or not a picture."""

from __future__ import annotations

from clearair.image import formats
from clearair.image.damage.jpeg import segments

_MAGIC = (
    (b"8BPS", "Photoshop"),
    (b"gimp xcf", "GIMP"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"<svg", "SVG"),
    (b"<?xml", "XML or SVG"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"II\xbc", "JPEG XR"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"\x89HDF\r\n", "HDF5"),
    (b"\x00\x00\x01\x00", "Windows icon"),
    (b"qoif", "QOI"),
    *((b"P%d%c" % (kind, space), "PNM") for kind in range(1, 8) for space in b"\n\r\t "),
    *((b"\x0a%c\x01" % version, "PCX") for version in (0, 2, 3, 4, 5)),
    (b"DDS ", "DDS"),
    (b"\x1aE\xdf\xa3", "Matroska or WebM video"),
)
_VIDEO_BRANDS = (b"qt", b"mp4", b"iso", b"M4V", b"3gp")
_SOS, _JPEG_LS = 0xDA, 0xF7
_NO_FRAMES = (0xC4, 0xC8, 0xCC)  # tables and extensions
_PROCESSES = {
    _JPEG_LS: "JPEG-LS", 0xC3: "lossless JPEG", 0xCB: "lossless JPEG",
    0xC5: "hierarchical JPEG", 0xC6: "hierarchical JPEG", 0xC7: "hierarchical JPEG",
    0xCD: "hierarchical JPEG", 0xCE: "hierarchical JPEG", 0xCF: "hierarchical JPEG",
}  # fmt: skip
"""By the marker of the frame (ITU T.81, table B.1; T.87), where these are not commonly read."""


def describe(head: bytes) -> str | None:
    """Name the known but unsupported format that `head` belongs to, or None."""
    if said := formats.brands(head):
        return "video" if any(brand.startswith(_VIDEO_BRANDS) for brand in said) else "HEIF or video"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((name for magic, name in _MAGIC if head.startswith(magic) or text.startswith(magic)), None)


def jpeg_kind(data: bytes) -> str | None:
    """Name the kind of a JPEG file that decoders commonly lack, with its article, or None."""
    for marker, start, end in segments(data):
        if marker == _SOS:
            break
        is_frame = (0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES) or marker == _JPEG_LS
        if is_frame and min(end, len(data)) - start > 4:
            name, precision = _PROCESSES.get(marker), data[start + 4]
            if precision != 8:
                return f"a {precision}-bit {name or 'JPEG'} file"
            return f"a {name} file" if name else None
    return None

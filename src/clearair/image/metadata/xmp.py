"""Removes statements from an XMP packet about data that a restored file lacks (XMP specification, part 1).

A packet is edited as text, so that all else in it stays byte for byte.
"""

from __future__ import annotations

import re

_ANY = rb"[\w.-]+"
_GONE = (
    # Motion photo formats 1.0 of Android, and the older one of Google Camera
    (b"http://ns.google.com/photos/1.0/camera/", rb"(?:MotionPhoto|MicroVideo)[\w.-]*"),
    # The list of pictures and videos behind the first picture
    (b"http://ns.google.com/photos/1.0/container/", _ANY),
    (b"http://ns.adobe.com/hdr-gain-map/1.0/", _ANY),
    (b"http://ns.apple.com/HDRGainMap/1.0/", _ANY),
    # Previews, which show the unrestored picture
    (b"http://ns.adobe.com/xap/1.0/", rb"Thumbnails"),
    # Where a C2PA signature is kept
    (b"http://purl.org/dc/terms/", rb"provenance"),
)
"""Namespace, and a pattern for the names in it that go when the pixels change."""
_EXTENDED = ((b"http://ns.adobe.com/xmp/note/", rb"HasExtendedXMP"),)


def for_new_pixels(packet: bytes) -> bytes:
    """Return a packet that announces no video, gain map, further picture, preview or signature."""
    return _without(packet, _GONE)


def without_extension(packet: bytes) -> bytes:
    """Return a packet that announces no extended XMP."""
    return _without(packet, _EXTENDED)


def has_thumbnail(packet: bytes) -> bool:
    """Whether a packet holds a preview of the picture."""
    return b":Thumbnails" in packet and b"http://ns.adobe.com/xap/1.0/g/img/" in packet


def has_gain_map(packet: bytes) -> bool:
    """Whether a packet announces a gain map or says how to apply one."""
    return any(name in packet for name in (b"hdr-gain-map/1.0/", b"HDRGainMap/1.0/"))


def upright(packet: bytes) -> bytes:
    """Return a packet with an orientation of 1 where it states one; its length stays.

    Packets may sit where others point past them.
    """
    packet = re.sub(rb"(tiff:Orientation\s*=\s*[\"'])[2-8]([\"'])", rb"\g<1>1\g<2>", packet)
    return re.sub(rb"(<tiff:Orientation>)[2-8](</)", rb"\g<1>1\g<2>", packet)


def _without(packet: bytes, gone: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Remove properties, written as attributes or as elements."""
    for namespace, names in gone:
        declared = rb"xmlns:([\w.-]+)\s*=\s*[\"']" + re.escape(namespace) + rb"[\"']"
        for prefix in set(re.findall(declared, packet)):
            name = re.escape(prefix) + b":" + names
            # One space, since a search for all of them would cost a time that grows with their square.
            packet = re.sub(rb"\s" + name + rb"\s*=\s*(?:\"[^\"]*\"|'[^']*')", b"", packet)
            packet = re.sub(rb"<" + name + rb"(?:\s[^<>]*)?/>", b"", packet)
            packet = _without_elements(packet, name)
    return packet


def _without_elements(packet: bytes, name: bytes) -> bytes:
    """Remove elements with content, up to the next end tag of their name."""
    pieces: list[bytes] = []
    at = 0
    for opening in re.finditer(rb"<(" + name + rb")(?:\s[^<>]*)?>", packet):
        if opening.start() < at:
            continue
        closing = re.compile(rb"</" + re.escape(opening[1]) + rb"\s*>").search(packet, opening.end())
        if closing is None:
            break
        pieces.append(packet[at : opening.start()])
        at = closing.end()
    return b"".join([*pieces, packet[at:]])

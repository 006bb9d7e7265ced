"""What is struck from XMP when the pixels change, and that nothing else is."""

import pytest

from clearair.image.metadata import xmp

HEAD = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
)
TAIL = '</rdf:Description></rdf:RDF></x:xmpmeta>  <?xpacket end="w"?>'


def packet(attributes: str, inside: str) -> bytes:
    return f"{HEAD}{attributes}>{inside}{TAIL}".encode()


@pytest.mark.parametrize(
    ("namespace", "name", "value"),
    [
        ("http://ns.google.com/photos/1.0/camera/", "MotionPhoto", "1"),
        ("http://ns.google.com/photos/1.0/camera/", "MotionPhotoPresentationTimestampUs", "-1"),
        ("http://ns.google.com/photos/1.0/camera/", "MicroVideoOffset", "4032"),
        ("http://ns.adobe.com/hdr-gain-map/1.0/", "GainMapMax", "2 > 1"),
        ("http://purl.org/dc/terms/", "provenance", "https://example.org/a.c2pa"),
    ],
)
def test_a_property_is_struck_in_either_way_of_writing_it(namespace, name, value):
    declared = f' xmlns:p="{namespace}"'
    as_attribute = packet(f"{declared}\n   p:{name}=\"{value}\" p:Mine='kept'", "")
    as_element = packet(f"{declared} p:Mine='kept'", f"<p:{name}>{value}</p:{name}><p:{name}/>")
    # Of gain maps, all goes.
    expected = packet(declared + ("" if "hdr" in namespace else " p:Mine='kept'"), "")
    assert b"".join(xmp.for_new_pixels(as_attribute).split()) == b"".join(expected.split())
    assert xmp.for_new_pixels(as_element) == expected


def test_a_name_of_another_namespace_stays():
    own = packet(' xmlns:p="http://example.org/"', "<p:MotionPhoto>1</p:MotionPhoto>")
    assert xmp.for_new_pixels(own) == own


def test_previews_in_xmp_are_struck():
    preview = (
        '<xmp:Thumbnails><rdf:Alt><rdf:li xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/">'
        "<xmpGImg:image>/9j/4AAQ</xmpGImg:image></rdf:li></rdf:Alt></xmp:Thumbnails>"
    )
    declared = ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="3"'
    assert xmp.has_thumbnail(packet(declared, preview))
    assert xmp.for_new_pixels(packet(declared, preview)) == packet(declared, "")
    assert not xmp.has_thumbnail(packet(declared, ""))


def test_an_extended_packet_is_no_longer_announced():
    declared = ' xmlns:xmpNote="http://ns.adobe.com/xmp/note/"'
    announced = packet(f'{declared} xmpNote:HasExtendedXMP="ABC"', "")
    assert xmp.without_extension(announced) == packet(declared, "")
    assert xmp.for_new_pixels(announced) == announced

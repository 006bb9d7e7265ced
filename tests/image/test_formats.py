"""The formats that are read and written."""

from clearair.image import FORMATS, SUFFIXES, output_format


def test_every_readable_format_has_a_writable_one():
    assert all(FORMATS[output_format(name)].writable for name in FORMATS)
    assert SUFFIXES[".jpg"] == "jpeg"
    assert output_format("gif") == "png"

"""Addresses are taken apart and joined like paths, whatever lies in the store."""

from pathlib import Path

from clearair.stores import Address


def test_names_are_taken_apart_like_paths():
    address = Address("s3://bucket/2024/a b#?.tar.JPG")
    assert str(address) == "s3://bucket/2024/a b#?.tar.JPG"
    assert (address.name, address.stem, address.suffix) == ("a b#?.tar.JPG", "a b#?.tar", ".JPG")
    assert str(address.with_name("b.jpg")) == "s3://bucket/2024/b.jpg"
    assert [str(each) for each in address.parents] == ["s3://bucket/2024", "s3://bucket"]
    assert Address("s3://bucket").name == ""
    assert address.key == Path("2024/a b#?.tar.JPG")

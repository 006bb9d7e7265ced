"""Names that users give: which are files and which are objects, and which are refused."""

from pathlib import Path

import pytest

from clearair.errors import UsageError
from clearair.stores import Address, is_address, place_of


def test_an_address_of_a_store_is_an_object_without_the_slash_at_its_end():
    assert is_address("s3://bucket/2024/a b#?.jpg/")
    assert place_of("s3://bucket/2024/a b#?.jpg/") == Address("s3://bucket/2024/a b#?.jpg")


@pytest.mark.parametrize("name", ["a.jpg", "/a/b", "a:b", "https://host/a.jpg", "file:///a.jpg", "s3:/b/a"])
def test_what_is_no_address_of_a_store_is_a_path(name):
    assert not is_address(name)
    assert place_of(name) == Path(name)


@pytest.mark.parametrize(
    "name", ["s3://key:sEcReT@bucket/a", "az://c/a.jpg?sv=1&sig=sEcReT", "s3://", "gs:///"]
)
def test_credentials_in_an_address_are_refused_and_not_repeated(name):
    with pytest.raises(UsageError) as caught:
        place_of(name)
    assert "sEcReT" not in str(caught.value)


@pytest.mark.parametrize("said", ["s3://", "s3:///photos/a.jpg", "gs:///"])
def test_an_address_without_a_bucket_is_refused(said):
    with pytest.raises(UsageError, match="names no bucket"):
        place_of(said)

"""What goes wrong in a store is said in one line of our own, without credentials."""

import errno

import pytest

from clearair.stores import Address
from clearair.stores.failures import as_system_error

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from tests.object_store import BUCKET

# gcsfs gives aiohttp a large result as it is.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ("403 Forbidden", "AccessDenied", "refuses access"),
        ("403 Forbidden", "InvalidAccessKeyId", "refuses access"),
        ("404 Not Found", "NoSuchBucket", "no such bucket"),
        ("400 Bad Request", "ExpiredToken", "refuses access"),
    ],
)
def test_what_a_store_says_becomes_one_line(store, status, code, words):
    store.fault = lambda *_: (status, code)
    with pytest.raises(OSError, match=r".") as caught:
        Address(f"s3://{BUCKET}/folder").below()
    assert words in caught.value.strerror
    assert "\n" not in caught.value.strerror


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ("403 Forbidden", "permission", "the store refuses access (permission it is)"),
        ("401 Unauthorized", "anonymous", "the store refuses access (anonymous it is, 401)"),
        ("404 Not Found", "notFound", "there is no such bucket"),
    ],
)
def test_what_google_says_becomes_one_line(google, status, code, words):
    google.fault = lambda *_: (status, code)
    with pytest.raises(OSError, match=r".") as caught:
        Address(f"{google.root}/folder").below()
    assert caught.value.strerror == words


def test_a_write_that_is_refused_keeps_the_address_of_the_upload_for_itself(google, tmp_path):
    part = tmp_path / "large"
    part.write_bytes(bytes(6 << 20))
    said = iter([None, ("400 Bad Request", "invalid"), None])
    google.fault = lambda method, _: next(said) if method == "PUT" else None
    with pytest.raises(OSError, match="upload_id") as caught:
        Address(f"{google.root}/a.png").write(part, overwrite=True)
    assert "upload_id=..." in caught.value.strerror


def test_a_host_that_is_away_is_named_by_what_other_libraries_say():
    import asyncio

    import aiohttp

    async def ask():
        async with aiohttp.ClientSession() as session, session.get("http://127.0.0.1:9/?a=b"):
            pass

    with pytest.raises(aiohttp.ClientConnectorError) as caught:
        asyncio.run(ask())
    error = as_system_error(caught.value, "")
    assert error.errno == errno.EHOSTUNREACH
    assert "cannot be reached (Cannot connect to host 127.0.0.1:9 " in error.strerror


def test_a_store_that_is_away_is_named(store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(OSError, match=r"cannot be reached .*127\.0\.0\.1:9") as caught:
        Address(f"s3://{BUCKET}/a.jpg").read()
    assert caught.value.errno == errno.EHOSTUNREACH
    with pytest.raises(OSError, match=rf'cannot be reached \([^?]*"http://127\.0\.0\.1:9/{BUCKET}"\)'):
        Address(f"s3://{BUCKET}").below()


def test_without_credentials(store, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(PermissionError, match="no credentials"):
        Address(f"s3://{BUCKET}/a.jpg").read()


def test_a_setting_that_a_library_does_not_know_is_called_one():
    error = as_system_error(TypeError("S3.__init__() got an unexpected keyword argument 'nonsense'"), "")
    assert error.strerror.startswith("a setting of the store is not known (")
    assert "'nonsense'" in error.strerror

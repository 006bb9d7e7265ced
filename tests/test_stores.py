"""Objects in stores, on a real S3 server of this machine and in fsspec's memory."""

import errno
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from clearair import stores
from clearair.errors import MissingExtraError, UsageError
from clearair.stores import Address, is_address, place_of

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from tests.object_store import BUCKET, known


@pytest.fixture
def store(object_server, monkeypatch):
    with known(object_server, monkeypatch):
        yield object_server


@pytest.fixture(params=["s3", "memory"])
def root(request, store):
    """A place for objects in each of two stores."""
    yield Address(f"{request.param}://{BUCKET}/root")
    if request.param == "memory":
        import fsspec

        fsspec.filesystem("memory").store.clear()


def put(address: Address, data: bytes, folder: Path) -> None:
    part = folder / "part"
    part.write_bytes(data)
    address.write(part, overwrite=True)


def test_names_are_taken_apart_like_paths():
    address = place_of("s3://bucket/2024/a b#?.tar.JPG/")
    assert isinstance(address, Address)
    assert str(address) == "s3://bucket/2024/a b#?.tar.JPG"
    assert (address.name, address.stem, address.suffix) == ("a b#?.tar.JPG", "a b#?.tar", ".JPG")
    assert str(address.with_name("b.jpg")) == "s3://bucket/2024/b.jpg"
    assert [str(each) for each in address.parents] == ["s3://bucket/2024", "s3://bucket"]
    assert Address("s3://bucket").name == ""
    assert address.key == Path("2024/a b#?.tar.JPG")


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


def test_what_is_written_is_read_again(root, tmp_path):
    address = root / "sub/a b+%20é#.jpg"
    assert not address.exists()
    put(address, b"picture", tmp_path)
    assert address.exists()
    content = address.read()
    assert (content.data, content.facts.size, content.name) == (b"picture", 7, str(address))
    assert content.facts.stat.st_mtime == pytest.approx((tmp_path / "part").stat().st_mtime, abs=120)
    assert address.head(3) == b"pic"
    assert root.below() == [address]
    assert (root / "*/*.jpg").matches() == [address]
    address.unlink()
    address.unlink(missing_ok=True)
    assert root.below() == []


def test_an_empty_object_exists(root, tmp_path):
    put(root / "empty", b"", tmp_path)
    assert (root / "empty").exists()
    assert (root / "empty").read().data == b""


def test_nothing_is_replaced_unasked_not_even_what_appears_meanwhile(root, tmp_path):
    put(root / "a.jpg", b"mine", tmp_path)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    with pytest.raises(FileExistsError):
        (root / "a.jpg").write(other, overwrite=False)
    assert (root / "a.jpg").read().data == b"mine"
    (root / "a.jpg").write(other, overwrite=True)
    assert (root / "a.jpg").read().data == b"other"
    (root / "a.jpg").write(other, overwrite=False)  # it is there already: an answer that was lost


def test_another_object_of_the_same_size_has_another_mark(store, tmp_path):
    address = Address(f"s3://{BUCKET}/a")
    put(address, b"one", tmp_path)
    first = address.facts()
    assert address.facts() == first
    put(address, b"two", tmp_path)
    assert address.facts().mark != first.mark


def test_a_large_result_that_cannot_be_completed_leaves_no_parts(store, tmp_path):
    part = tmp_path / "large"
    with part.open("wb") as file:
        file.truncate(101 << 20)  # over two parts of s3fs
    asked = []

    def refuse_the_second(method, path):
        asked.append(method)
        return ("403 Forbidden", "AccessDenied") if asked.count("PUT") == 2 and method == "PUT" else None

    store.fault = refuse_the_second
    with pytest.raises(PermissionError):
        Address(f"s3://{BUCKET}/large").write(part, overwrite=False)
    assert store.keys() == []
    assert not store.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_a_store_that_is_busy_for_a_while_is_asked_again(store):
    store.put("a.jpg", b"picture")
    busy = iter(range(3))
    # A part of a result that another test gave up may still arrive.
    store.fault = lambda method, _: (
        ("503 Slow Down", "SlowDown") if method != "PUT" and next(busy, None) is not None else None
    )
    assert Address(f"s3://{BUCKET}/a.jpg").read().data == b"picture"
    assert store.asked["HEAD"] + store.asked["GET"] == 5


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


def test_a_store_that_is_away_is_named(store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(OSError, match=r"cannot be reached .*127\.0\.0\.1:9") as caught:
        Address(f"s3://{BUCKET}/a.jpg").read()
    assert caught.value.errno == errno.EHOSTUNREACH


def test_who_stops_does_not_wait_for_a_store_that_never_answers(store):
    silence, stop = threading.Event(), threading.Event()
    store.fault = lambda *_: silence.wait(60) and None
    threading.Timer(0.5, stop.set).start()
    try:
        with stores.until(stop), pytest.raises(InterruptedError):
            Address(f"s3://{BUCKET}/a.jpg").read()
    finally:
        silence.set()


def test_without_credentials(store, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(PermissionError, match="no credentials"):
        Address(f"s3://{BUCKET}/a.jpg").read()


def test_an_unknown_kind_of_store():
    with pytest.raises(UsageError, match="no kind of store"):
        stores.require([Address("nothing://a/b")])


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    stores._system.cache_clear()
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"clearair\[stores\]"):
        stores.require([Address("s3://bucket/a")])


def test_fsspec_is_loaded_for_an_address_and_not_before():
    program = (
        "import sys, clearair.apps.cli\n"
        "assert not {'fsspec', 'numpy', 'tempfile'} & set(sys.modules)\n"
        "import clearair.files.planning\n"
        "assert 'fsspec' not in sys.modules\n"
        "from clearair.stores import Address\n"
        "Address('memory://a/b').exists()\n"
        "assert 'fsspec' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

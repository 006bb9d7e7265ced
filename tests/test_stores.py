"""Objects in stores, on real servers of S3 and Google of this machine and in fsspec's memory."""

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

# gcsfs gives aiohttp a large result as it is.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


@pytest.fixture
def store(object_server, monkeypatch):
    with known(object_server, monkeypatch):
        yield object_server


@pytest.fixture
def google(google_server, monkeypatch):
    with known(google_server, monkeypatch):
        yield google_server


@pytest.fixture(params=["s3", "gs", "memory"])
def root(request):
    """A place for objects in each of three stores."""
    if request.param != "memory":
        request.getfixturevalue({"s3": "store", "gs": "google"}[request.param])
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


def test_another_object_of_the_same_size_has_another_mark(root, tmp_path):
    address = root / "a"
    if root.scheme == "memory":
        pytest.skip("it knows times of seconds only")
    put(address, b"one", tmp_path)
    first = address.facts()
    assert address.facts() == first
    put(address, b"two", tmp_path)
    assert address.facts().mark != first.mark


@pytest.mark.parametrize("size", [1000, 6 << 20])  # gcsfs puts 5 MiB and more in parts
def test_a_large_result_does_not_replace_what_is_there_either(root, tmp_path, size):
    large, other = tmp_path / "large", tmp_path / "other"
    large.write_bytes(bytes(size))
    other.write_bytes(b"x" * size)
    (root / "a.png").write(large, overwrite=False)
    (root / "a.png").write(large, overwrite=False)
    with pytest.raises(FileExistsError):
        (root / "a.png").write(other, overwrite=False)
    assert (root / "a.png").read().data == bytes(size)


@pytest.mark.parametrize("fixture", ["store", "google"])
def test_a_result_says_what_it_is(request, fixture, tmp_path):
    server = request.getfixturevalue(fixture)
    for name in ("a.jpg", "b.png", "c"):
        put(Address(f"{server.root}/{name}"), b"picture", tmp_path)
    assert [server.content_type(name) for name in ("a.jpg", "b.png")] == ["image/jpeg", "image/png"]
    assert server.content_type("c").endswith("/octet-stream")


def test_what_appears_before_the_last_part_stays_though_the_upload_cannot_be_given_up(google, tmp_path):
    part = tmp_path / "large"
    part.write_bytes(bytes(6 << 20))
    asked = []

    def appear(method, path):
        asked.append(method)
        if asked == ["PUT"]:
            return None  # the upload begins
        if asked == ["PUT", "PUT"]:
            google.put("a.png", b"mine")
            return "412 Precondition Failed", "conditionNotMet"
        return ("404 Not Found", "notFound") if asked == ["PUT", "PUT", "PUT"] else None

    google.fault = appear
    with pytest.raises(FileExistsError):
        Address(f"{google.root}/a.png").write(part, overwrite=False)
    assert google.get("a.png") == b"mine"
    assert asked == ["PUT", "PUT", "PUT", "GET"]


@pytest.mark.parametrize("fixture", ["store", "google"])
def test_an_object_that_is_not_there_is_no_bucket_whatever_its_name(request, fixture):
    server = request.getfixturevalue(fixture)
    with pytest.raises(FileNotFoundError) as caught:
        Address(f"{server.root}/bucket.jpg").read()
    assert caught.value.strerror == "no such object"


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


@pytest.mark.filterwarnings("default")
def test_libraries_write_nothing_between_the_lines_of_a_run(google):
    program = (
        "from clearair.stores import Address\n"
        f"print(Address('{google.root}/a.jpg').exists())\n"
        "try:\n"
        f"    Address('{google.root}/refused').below()\n"
        "except PermissionError:\n"
        "    print('refused')\n"
    )
    google.fault = lambda method, _: ("401 Unauthorized", "anonymous") if method == "LIST" else None
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr) == ("False\nrefused\n", "")


def test_a_host_that_is_away_is_named_by_what_other_libraries_say():
    import asyncio

    import aiohttp

    async def ask():
        async with aiohttp.ClientSession() as session, session.get("http://127.0.0.1:9/?a=b"):
            pass

    with pytest.raises(aiohttp.ClientConnectorError) as caught:
        asyncio.run(ask())
    error = stores._as_system_error(caught.value, "")
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


@pytest.mark.parametrize("said", ["s3://", "s3:///photos/a.jpg", "gs:///"])
def test_an_address_without_a_bucket_is_refused(said):
    with pytest.raises(UsageError, match="names no bucket"):
        place_of(said)


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

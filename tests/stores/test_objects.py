"""Objects on real servers of S3 and Google of this machine and in fsspec's memory."""

from pathlib import Path

import pytest

from clearair.stores import Address

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from tests.object_store import BUCKET

# gcsfs gives aiohttp a large result as it is.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


def put(address: Address, data: bytes, folder: Path) -> None:
    part = folder / "part"
    part.write_bytes(data)
    address.write(part, overwrite=True)


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

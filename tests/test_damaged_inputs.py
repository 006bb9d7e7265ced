"""Damaged files that are no pictures are read or refused in one line. `benchmarks/fuzz.py` tries more."""

import fuzz
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SOME = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


class Samples(list):
    """Files whose contents stay out of messages of failures."""

    def __repr__(self):
        return f"<{len(self)} files>"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder and the undamaged files of each kind."""
    made = {name: tmp_path_factory.mktemp(name) for name in fuzz.READERS}
    return {name: (folder, Samples(fuzz.other_samples(name, folder))) for name, folder in made.items()}


@pytest.mark.parametrize("name", fuzz.READERS)
def test_undamaged_files_are_read(folders, name):
    folder, samples = folders[name]
    words = {fuzz.read_other(name, folder, data) for data in samples}
    assert words <= ({"read", "refused"} if name == "list" else {"read"})  # lists are of two kinds


@pytest.mark.parametrize("name", fuzz.READERS)
@given(number=st.integers(0, 2**32))
@SOME
def test_damaged_files_are_read_or_refused_in_one_line(folders, name, number):
    folder, samples = folders[name]
    assert fuzz.read_other(name, folder, fuzz.changed(samples, number)) in ("read", "refused")


@pytest.mark.parametrize("name", fuzz.READERS)
@given(data=st.binary(max_size=200))
@SOME
def test_anything_else_is_read_or_refused_in_one_line(folders, name, data):
    assert fuzz.read_other(name, folders[name][0], data) in ("read", "refused")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("config", b"[" * 100_000),
        ("config", b'{"format": ' * 50_000),
        ("config", b'{"format": 1e999}'),
        ("recipe", b"a = " + b"[" * 100_000),
        ("weights", (100).to_bytes(8, "little") + b"{" * 100),
        ("weights", (2**62).to_bytes(8, "little")),
        ("weights", (100_000).to_bytes(8, "little") + b"[" * 100_000),
    ],
)
def test_what_is_nested_deeply_or_lies_about_its_size_is_refused(folders, name, data):
    assert fuzz.read_other(name, folders[name][0], data) == "refused"


@pytest.mark.parametrize("damage", [b"`", b"\xff"])
def test_what_sqlite_says_of_damaged_text_is_one_line(folders, damage):
    folder, samples = folders["journal"]
    data = samples[0].replace(b"CREATE TABLE entry (", b"CREATE TABLE entry " + damage, 1)
    assert data != samples[0]
    assert fuzz.read_other("journal", folder, data) == "refused"

"""The libraries of stores: loaded late, silent, and named where they are missing."""

import subprocess
import sys

import pytest

from clearair.errors import MissingExtraError, UsageError
from clearair.stores import Address, require
from clearair.stores.filesystems import file_system


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


def test_an_unknown_kind_of_store():
    with pytest.raises(UsageError, match="no kind of store"):
        require([Address("nothing://a/b")])


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    file_system.cache_clear()
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"clearair\[stores\]"):
        require([Address("s3://bucket/a")])


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


@pytest.mark.parametrize("value", ["{bad", "[]", "anon"])
def test_damaged_settings_are_refused_instead_of_passed_over(monkeypatch, value):
    file_system.cache_clear()
    monkeypatch.setenv("FSSPEC_S3", value)
    with pytest.raises(UsageError, match=r"FSSPEC_S3: .* JSON"):
        require([Address("s3://bucket/a")])

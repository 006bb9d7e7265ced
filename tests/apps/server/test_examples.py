"""The clients in `examples/`, against a real server."""

import shutil
import subprocess
import sys

import pytest

from clearair.image import read_photo
from tests.apps.server.serving import EXAMPLE

FOLDER = EXAMPLE.parent
CLIENTS = {
    "python": [sys.executable, str(FOLDER / "client.py")],
    "curl": ["sh", str(FOLDER / "client.sh")],
}


@pytest.fixture(params=CLIENTS)
def client(request):
    if request.param == "curl" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = CLIENTS[request.param]
    return lambda *words: subprocess.run(
        [*command, *map(str, words)], capture_output=True, text=True, timeout=120
    )


def test_a_photo_is_restored(client, server, tmp_path):
    result = tmp_path / "better.jpg"
    done = client(server.address, EXAMPLE, result)
    assert done.returncode == 0, done.stderr
    assert read_photo(result).size == read_photo(EXAMPLE).size
    assert (read_photo(result).pixels != read_photo(EXAMPLE).pixels).any()


def test_a_file_or_a_server_that_is_not_there_is_said(client, server, tmp_path):
    missing = client(server.address, tmp_path / "none.jpg", tmp_path / "better.jpg")
    assert missing.returncode == 1
    assert "no such file" in missing.stderr
    nobody = client("http://127.0.0.1:9", EXAMPLE, tmp_path / "better.jpg")
    assert nobody.returncode != 0
    assert "Traceback" not in nobody.stderr
    assert nobody.stderr


def test_what_is_no_photo_is_said(client, server, tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("hello")
    result = tmp_path / "better.jpg"
    done = client(server.address, text, result)
    assert done.returncode == 1
    assert "Not a picture" in done.stderr
    assert not result.exists()


def test_a_refusal_leaves_an_existing_file_alone(client, server, tmp_path):
    result = tmp_path / "better.jpg"
    result.write_text("mine")
    words = ("--damage", "hase") if client("--help").returncode == 0 else ("hase",)
    done = client(server.address, EXAMPLE, result, *words)
    assert done.returncode == 1
    assert "haze" in done.stderr
    assert (result.read_text(), [path.name for path in tmp_path.iterdir()]) == ("mine", ["better.jpg"])

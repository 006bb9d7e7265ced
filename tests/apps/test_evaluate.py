"""`clearair evaluate` on a small data folder, with the model that ships."""

import json

import pytest
import skimage.data
from click.testing import CliRunner

from clearair.apps.cli import cli
from clearair.image import Photo, write_photo


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for index in range(2):
        path = root / "train" / "clean" / "here" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_photo(Photo(skimage.data.chelsea()[:256, :256]), path)
    return root


def evaluate(*arguments):
    return CliRunner().invoke(cli, ["evaluate", "compact", *map(str, arguments)])


def test_shuffle_prints_a_table_and_writes_json(data, tmp_path):
    file = tmp_path / "worth.json"
    done = evaluate("--data", data, "--shuffle", "how", "--benchmark", "noise", "--every", 6, "--json", file)
    assert done.exit_code == 0, done.output
    assert "| how | noise |" in done.output
    assert {worth["kind"] for worth in json.loads(file.read_text())["shuffle"]} == {"all", "noise"}


def test_harm_prints_undamaged_and_damaged_pictures(data):
    done = evaluate("--data", data, "--harm", "--benchmark", "jpeg", "--every", 6)
    assert done.exit_code == 0, done.output
    assert "| held out | 1 |" in done.output
    assert "| jpeg | 2 |" in done.output


def test_shuffle_and_harm_are_asked_for_one_at_a_time(data):
    done = evaluate("--data", data, "--harm", "--shuffle", "how")
    assert done.exit_code == 2
    assert "ask for one" in done.output

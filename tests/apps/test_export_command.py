"""`clearair export` as people run it, and models that were exported: what goes wrong is one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from clearair.image import Photo, write_photo
from clearair.models.catalogue import find_model

WITHOUT = """
import importlib.util as util
import sys
without = sys.argv.pop(1).split(",")
find = util.find_spec
util.find_spec = lambda name, *rest: None if name in without else find(name, *rest)
sys.modules.update(dict.fromkeys(without))
from clearair.apps.cli import main
main()
"""


def refused(*arguments, without="", path=""):
    """Run the program where packages are missing; return its exit code and the line that it prints."""
    paths = [entry for entry in (str(path), os.environ.get("PYTHONPATH", "")) if entry]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT, without, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    lines = done.stderr.strip().splitlines()
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, lines[-1]


@pytest.fixture
def photo(tmp_path):
    write_photo(Photo(np.full((32, 40, 3), 90, np.uint8)), tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["compct"], 3, "clearair: There is no model 'compct': neither a folder nor one of: compact."),
        (["nafnet.pth"], 3, "clearair: There is no model 'nafnet.pth'"),
        (
            ["compact", "--format", "tflite"],
            2,
            "clearair export: Invalid value for '--format': 'tflite' is not",
        ),
        (["compact", "-o", "full"], 1, "clearair: full: is not empty; choose another folder, or replace its"),
        (["compact", "-o", "full/file"], 1, "clearair: full/file: is a file, not a folder."),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(tmp_path, monkeypatch, arguments, code, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    wanted = [] if "-o" in arguments else ["-o", "new"]
    found, said = refused("export", *arguments, *wanted)
    assert (found, said[: len(line)]) == (code, line)
    assert {entry.name for entry in tmp_path.iterdir()} == {"full"}
    assert [entry.name for entry in (tmp_path / "full").iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("without", "format_", "extra"),
    [
        ("torch", "onnx", "torch"),
        ("onnx", "onnx", "export"),
        ("onnxscript", "onnx", "export"),
        ("openvino", "openvino", "openvino"),
    ],
)
def test_a_missing_package_is_named_with_what_to_install(tmp_path, without, format_, extra):
    code, said = refused("export", "compact", "--format", format_, "-o", tmp_path / "new", without=without)
    assert code == 2
    assert said.endswith(f"pip install 'clearair[{extra}]'")
    assert not (tmp_path / "new").exists()


def test_a_model_without_graphs_says_how_to_get_them(model, photo):
    code, said = refused("restore", photo, "--model", model, without="torch")
    assert code == 3
    assert said.startswith(f"clearair: {model}: has no graphs for ONNX Runtime: write them with `clearair")


def test_graphs_of_another_model_are_refused(tmp_path, model, photo):
    shutil.copytree(model, tmp_path / "mixed")
    for file in find_model("compact").glob("*.onnx"):
        shutil.copy(file, tmp_path / "mixed")
    shutil.copy(find_model("compact") / "graphs.json", tmp_path / "mixed")
    code, said = refused("restore", photo, "--model", tmp_path / "mixed", "--backend", "onnx")
    assert code == 3
    assert "holds graphs of another model; run `clearair export` again" in said


def test_an_old_onnx_runtime_is_refused(tmp_path, photo):
    (tmp_path / "old" / "onnxruntime").mkdir(parents=True)
    (tmp_path / "old" / "onnxruntime" / "__init__.py").write_text(
        "__version__ = '1.14.0'\nclass SessionOptions: pass\n"
    )
    code, said = refused("restore", photo, "--backend", "onnx", path=tmp_path / "old")
    assert code == 3
    assert said.startswith("clearair: ONNX Runtime 1.14.0 is too old")
    assert said.endswith("pip install --upgrade onnxruntime")

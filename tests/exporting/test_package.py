"""Exported folders: complete, checked against PyTorch, and nothing left of what fails."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from clearair import MissingExtraError, ModelError, OutputError, Restorer, UsageError
from clearair.apps.cli import cli
from clearair.exporting.openvino import convert
from clearair.exporting.package import _publish, export_model, require_packages
from clearair.exporting.parity import Difference, difference, differences, restorer_cases
from clearair.exporting.sources import PerceiverSource, RestorerSource, find_source
from clearair.finishing import FinishedNetwork
from clearair.graphs import FORMAT_VERSION, GRAPHS, read_graphs
from clearair.models import save_model
from clearair.models.catalogue import find_model
from clearair.models.stored import read_model
from clearair.network import TINY
from clearair.perception import load_compact
from clearair.perception.compact.stored import shipped_folder
from clearair.perception.compact.weights import save_perceiver
from clearair.runtime.loading import load_perceiver


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A model without graphs, for the perceivers that ship."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny") / "model"
    small = replace(
        TINY,
        block=("conv", "conv"),
        quality_dim=32,
        content_dim=64,
        degradation_dim=64,
        region_count=16,
    )
    save_model(FinishedNetwork(small), folder)
    return folder


@pytest.fixture(scope="module")
def exported(tiny):
    """What the command makes of it, and what it prints."""
    folder = tiny.parent / "exported"
    done = CliRunner().invoke(cli, ["export", str(tiny), "-o", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0
    return folder, done.stdout.splitlines()


def test_the_folder_is_a_model_that_onnx_runtime_runs(tiny, exported):
    folder, lines = exported
    assert {file.name for file in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "judge.onnx",
        "window.onnx",
        GRAPHS,
    }
    assert lines[-1] == f"model -> {folder}"
    assert len(lines) > 4
    assert all(
        re.fullmatch(r"\d+ x \d+ px, .*: max .*, mean .*, PSNR [\d.]+ dB", line) for line in lines[:-1]
    )
    picture = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    first, second = (
        Restorer.from_pretrained(where, backend=backend, device="cpu", precision="fp32")(picture).image
        for where, backend in ((folder, "onnx"), (tiny, "torch"))
    )
    assert not np.array_equal(first, picture)
    assert np.abs(first.astype(int) - second.astype(int)).max() <= 1


def test_nothing_else_is_left_beside_the_folder(exported):
    folder, _ = exported
    assert [file.name for file in folder.parent.iterdir() if file.name.startswith(".")] == []


def test_files_are_replaced_only_when_asked(tiny, exported, tmp_path):
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"is not empty; choose another folder.*overwrite=True"):
        export_model(tiny, folder)
    for name in ("keep_tone.onnx", "judge.onnx", "mine.onnx"):
        (folder / name).write_bytes(b"of an earlier model")
    kept = {"file": "keep_tone.onnx", "sha256": "", "weights": []}
    (folder / GRAPHS).write_text(
        json.dumps({"format": FORMAT_VERSION, "config": {}, "graphs": {"kept": kept}})
    )
    shutil.copytree(exported[0], tmp_path / "part")
    _publish(tmp_path / "part", folder)
    there = {file.name: file.read_bytes() for file in folder.iterdir()}
    mine = {"notes.txt": b"mine", "mine.onnx": b"of an earlier model"}
    assert there == mine | {file.name: file.read_bytes() for file in exported[0].iterdir()}


@pytest.fixture
def off(exported, tmp_path):
    """A model beside which lie graphs that do not compute what it computes."""
    import onnx

    folder = tmp_path / "off"
    shutil.copytree(exported[0], folder)
    model = onnx.load_model_from_string((folder / "window.onnx").read_bytes())
    last = next(node for node in model.graph.node if "restored" in node.output)
    assert last.op_type == "Add"
    last.op_type = "Sub"
    data = model.SerializeToString()
    (folder / "window.onnx").write_bytes(data)
    values = json.loads((folder / GRAPHS).read_text())
    values["graphs"]["window"]["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / GRAPHS).write_text(json.dumps(values))
    return folder


def test_answers_that_differ_are_refused_and_nothing_is_written(off):
    pytest.importorskip("openvino")
    with pytest.raises(
        OutputError, match=r"not answer as PyTorch does .*more than 0\.001.*nothing"
    ) as caught:
        export_model(off, off.parent / "new", format="openvino")
    assert "\n" not in str(caught.value)
    assert list(off.parent.iterdir()) == [off]


def test_a_folder_that_cannot_be_written_is_named(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match=r"file: is a file, not a folder"):
            export_model(tiny, folder)
    with pytest.raises(OutputError, match="cannot be written: File name too long"):
        export_model(tiny, tmp_path / ("a" * 300) / "b")


def test_what_is_not_there_is_refused_before_anything_is_done(tiny, tmp_path):
    with pytest.raises(ModelError, match="There is no model 'compct'"):
        export_model("compct", tmp_path / "new")
    with pytest.raises(UsageError, match="There is no format 'tflite'; use one of onnx, openvino"):
        export_model(tiny, tmp_path / "new", format="tflite")
    assert list(tmp_path.iterdir()) == []


def test_an_exporter_that_is_too_old_is_refused(monkeypatch):
    require_packages("onnx")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.5.4")
    with pytest.raises(MissingExtraError, match=r"onnxscript 0\.5\.4 is too old .*'onnxscript>=0\.7\.2'"):
        require_packages("onnx")


def test_perceivers_are_found_by_name_and_by_folder(tmp_path):
    for name in ("perceivers", shipped_folder()):
        source = find_source(name)
        assert isinstance(source, PerceiverSource)
        assert source.graphs() is not None
    assert isinstance(find_source("compact"), RestorerSource)
    save_perceiver(load_compact().eyes, tmp_path / "eyes")
    with pytest.raises(ModelError, match="has no recognizer, and such perceivers run on PyTorch alone"):
        find_source(tmp_path / "eyes")


@pytest.mark.parametrize("name", ["compact", "perceivers"])
def test_the_graphs_that_ship_are_those_of_the_code(name):
    """Where this fails, write them again: see docs/weights.md."""
    source = find_source(name)
    graphs = read_graphs(source.folder)
    found = differences(source.expected(), source.answers(graphs))
    assert [str(each) for each in found if not each.holds] == []


def test_perceivers_of_a_folder_run_on_its_graphs(tmp_path):
    shutil.copytree(shipped_folder(), tmp_path / "mine")
    assert load_perceiver(tmp_path / "mine").identity == load_perceiver().identity
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    config["eyes"]["far_pixels"] *= 2
    (tmp_path / "mine" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="holds graphs of other perceivers; run `clearair export` again"):
        load_perceiver(tmp_path / "mine")


@pytest.mark.parametrize("name", ["tiny", pytest.param("compact", marks=pytest.mark.slow)])
def test_openvino_answers_as_pytorch_does(exported, tmp_path, name):
    pytest.importorskip("openvino")
    source = find_source(exported[0] if name == "tiny" else name)
    answers = convert(source, source.graphs(), tmp_path)
    assert all(each.holds for each in differences(source.expected(), answers))
    names = {f"{graph}{suffix}" for graph in source.graphs().graphs for suffix in (".xml", ".bin")}
    assert {file.name for file in tmp_path.iterdir()} == names


def test_what_openvino_cannot_read_is_one_line(exported, tmp_path):
    pytest.importorskip("openvino")
    import onnx

    source, graphs = find_source(exported[0]), read_graphs(exported[0])
    model = onnx.load_model_from_string((exported[0] / "judge.onnx").read_bytes())
    model.graph.node[0].op_type = "NoSuchOperator"
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(model.SerializeToString())
    entries = {**graphs.graphs, "judge": replace(graphs.graphs["judge"], path=broken)}
    with pytest.raises(OutputError, match=r"OpenVINO failed \(.*\); nothing is written") as caught:
        convert(source, replace(graphs, graphs=entries), tmp_path)
    assert "\n" not in str(caught.value)


def test_models_of_other_perceivers_are_compared_with_random_percepts(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    config.write_text(config.read_text().replace('"quality_dim": 32', '"quality_dim": 4096'))
    cases = restorer_cases(read_model(tmp_path / "model"))
    assert cases[0].percepts.guidance.quality.shape == (1, 4096)
    assert {case.name for case in cases} == {"random percepts"}
    tone = restorer_cases(read_model("compact"))
    assert any(case.keep_tone for case in tone)
    assert len({case.window for case in tone}) >= 3


def test_a_difference_is_judged_and_told():
    same = difference("same", np.zeros(3), np.zeros(3))
    assert same.holds
    assert str(same) == "same: max 0.0e+00, mean 0.0e+00, PSNR inf dB"
    apart = difference("apart", np.zeros(4), np.array([0.01, 0, 0, 0]))
    assert not apart.holds
    assert str(apart) == "apart: max 1.0e-02, mean 2.5e-03, PSNR 46.0 dB, more than 0.001"
    assert not difference("nan", np.zeros(2), np.array([0, np.nan])).holds
    assert not Difference("nan", np.nan, np.nan, np.nan).holds


@pytest.mark.slow
@pytest.mark.parametrize("name", ["compact", "perceivers"])
def test_what_ships_can_be_exported(name, tmp_path):
    found = export_model(name, tmp_path / "new")
    assert all(each.holds for each in found)
    shipped = find_model("compact") if name == "compact" else shipped_folder()
    assert set(read_graphs(tmp_path / "new").graphs) == set(read_graphs(shipped).graphs)

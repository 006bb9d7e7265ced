"""Saved perceivers come back as they were, and broken ones are refused."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from clearair.errors import ModelError
from clearair.perception.compact.weights import load_perceiver, new_recognizer, save_perceiver
from clearair.perception.confidence import Caution


@pytest.fixture
def folder(tmp_path, tiny_eyes):
    save_perceiver(tiny_eyes, tmp_path)
    return tmp_path


def test_loading_returns_what_was_saved_to_half_precision(folder, tiny_eyes):
    loaded, recognizer, caution = load_perceiver(folder)
    assert recognizer is None
    assert caution == Caution()
    assert loaded.config == tiny_eyes.config
    for name, value in tiny_eyes.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.half().float())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match="nowhere"):
        load_perceiver(tmp_path / "nowhere")


def test_a_missing_tensor_is_named(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["eyes.level_head.bias"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"missing.*level_head\.bias"):
        load_perceiver(folder)


def test_an_unknown_tensor_is_named(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "third_eye": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="third_eye"):
        load_perceiver(folder)


def test_a_tensor_of_another_shape_is_named(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "eyes.level_head.bias": torch.zeros(7)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"level_head\.bias .*\(7,\) instead of \(5,\)"):
        load_perceiver(folder)


def test_weights_that_are_not_finite_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "eyes.level_head.bias": torch.full((5,), torch.nan)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="not finite"):
        load_perceiver(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "3", '{"colour": 1}', '{"format": 2, "eyes": {"near_side": "x"}}']
)
def test_a_damaged_config_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        load_perceiver(folder)


def test_a_truncated_weights_file_is_refused(folder):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_perceiver(folder)


def test_a_config_of_another_network_does_not_fit_the_weights(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "eyes": {**config["eyes"], "quality_dim": 9}}))
    with pytest.raises(ModelError, match="of another shape"):
        load_perceiver(folder)


def test_a_config_of_an_older_version_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config["eyes"]))
    with pytest.raises(ModelError, match="older version"):
        load_perceiver(folder)


@pytest.mark.parametrize("ramp", [[0.5], [0.1, 0.2, 0.3], [0.7, 0.2], [0.1, 2.0], "high", None])
def test_a_ramp_that_makes_no_sense_is_refused(folder, ramp):
    config = json.loads((folder / "config.json").read_text())
    config["caution"]["tone"]["haze"] = ramp
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"config\.json"):
        load_perceiver(folder)


def test_a_recognizer_and_its_caution_come_back(tiny_eyes, tmp_path):
    recognizer = new_recognizer(tiny_eyes.config)
    caution = Caution({"haze": (0.1, 0.9)}, {"rain": (0.3, 0.4)}, (0.25, 0.75))
    save_perceiver(tiny_eyes, tmp_path, recognizer, caution)
    _, loaded, told = load_perceiver(tmp_path)
    assert told == caution
    assert loaded is not None
    assert torch.equal(loaded.head.weight, recognizer.head.weight)
    assert torch.equal(loaded.backbone.stem.weight, recognizer.backbone.stem.weight.half().float())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dense_width", -3),
        ("dense_width", "x"),
        ("quality_dim", 1.5),
        ("near_crops", True),
        ("far_widths", [16.0, 32.0, 64.0, 96.0]),
        ("near_widths", None),
        ("kinds", 3),
        ("kinds", ["haze", "haze"]),
        ("kinds", ["haze", "auto"]),
    ],
)
def test_a_config_with_a_field_that_makes_no_sense_is_refused_in_one_line(folder, field, value):
    config = json.loads((folder / "config.json").read_text())
    config["eyes"][field] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=field) as caught:
        load_perceiver(folder)
    assert "\n" not in str(caught.value)


def test_a_config_without_a_field_or_with_a_ramp_of_an_unknown_kind_is_refused(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    eyes = {name: value for name, value in config["eyes"].items() if name != "kinds"}
    path.write_text(json.dumps({**config, "eyes": eyes}))
    with pytest.raises(ModelError, match="lacks kinds"):
        load_perceiver(folder)
    config["caution"]["change"]["fog"] = [0.1, 0.2]
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="fog"):
        load_perceiver(folder)
